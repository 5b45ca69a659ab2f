-- How often a connection's rooms were recalled: by that a node knows that what it was asked for comes from a connection
-- which its client has given up since.
ALTER TABLE recovery_rooms ADD COLUMN generation bigint NOT NULL DEFAULT 0;
