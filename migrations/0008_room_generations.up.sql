-- The generation of the connection that recalled or joined a room last, which rises from one to the next: by that a node knows
-- that what it was asked for comes from a connection which its client has given up since.
ALTER TABLE recovery_rooms ADD COLUMN generation bigint NOT NULL DEFAULT 0;
