-- What the clients of the older system, and browsers' EventSources, need to come back on any node.

-- The rooms of a Socket.IO connection that may be recovered: its client does not join them again. session is in the
-- pid that the client holds, from_seq where the room began for it, used_at when it was last there. The user is in
-- the key, so that whoever gets to know another's pid can neither read nor change what is here for him.
CREATE TABLE recovery_rooms (
    session  uuid        NOT NULL,
    user_id  text        NOT NULL,
    room     text        NOT NULL,
    from_seq bigint      NOT NULL,
    used_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session, user_id, room)
);
CREATE INDEX recovery_rooms_used_at ON recovery_rooms (used_at);

-- Tickets that open one stream of server-sent events each. Only the SHA-256 of a ticket is here. They are short-lived,
-- so a crash of the database may take them.
CREATE UNLOGGED TABLE event_tickets (
    digest           bytea       PRIMARY KEY,
    user_id          text        NOT NULL,
    role             text        NOT NULL,
    name             text        NOT NULL,
    token_expires_at timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL
);
CREATE INDEX event_tickets_expires_at ON event_tickets (expires_at);
