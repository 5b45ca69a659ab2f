-- What is derived from the log. Everything here can be rebuilt from the events.

-- A row a group: how far it has read the log. Locked by the node that works on it: the lease.
CREATE TABLE checkpoints (
    group_name text        PRIMARY KEY,
    position   bigint      NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 10);
INSERT INTO checkpoints (group_name) VALUES ('feed'), ('views');

-- The notification log: what the outside is told of an event, once, …
CREATE TABLE notification_log (
    seq      bigint      NOT NULL,
    event    text        NOT NULL,
    channels text[]      NOT NULL,
    payload  json        NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (seq)
) PARTITION BY RANGE (seq);

-- … and which channels carry it, for a reader of some channels only.
CREATE TABLE notification_channels (
    channel text   NOT NULL,
    seq     bigint NOT NULL,
    PRIMARY KEY (channel, seq)
) PARTITION BY RANGE (seq);

-- One row: everything after floor is held; what is older was dropped by retention.
CREATE TABLE notification_floor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    floor    bigint  NOT NULL DEFAULT 0
);
INSERT INTO notification_floor DEFAULT VALUES;

SELECT add_partitions('notification_log', 100000, 200000);
SELECT add_partitions('notification_channels', 100000, 200000);

-- Read models. doc is the aggregate's state as the API shows it; the columns beside it are what lists
-- filter and sort by.
CREATE TABLE orders_view (
    id          uuid        PRIMARY KEY,
    customer_id text        NOT NULL,
    agent_id    text        NOT NULL,
    status      text        NOT NULL,
    placed_at   timestamptz NOT NULL,
    placed_seq  bigint      NOT NULL,
    doc         json        NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX orders_view_newest ON orders_view (placed_seq DESC);
CREATE INDEX orders_view_customer ON orders_view (customer_id, placed_seq DESC);
CREATE INDEX orders_view_agent ON orders_view (agent_id, placed_seq DESC) WHERE agent_id <> '';
CREATE INDEX orders_view_status ON orders_view (status, placed_seq DESC);

CREATE TABLE products_view (
    id        uuid    PRIMARY KEY,
    archived  boolean NOT NULL,
    added_seq bigint  NOT NULL UNIQUE,
    doc       json    NOT NULL
);

CREATE TABLE business_view (
    id  uuid PRIMARY KEY,
    doc json NOT NULL
);
