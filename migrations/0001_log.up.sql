-- The log: one head, events partitioned by seq, the version of each stream, and the keys of commands
-- that may be repeated.

-- One row. Whoever appends locks it until commit: that makes seq dense and in commit order.
CREATE TABLE log_head (
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    log_id      uuid        NOT NULL DEFAULT gen_random_uuid(),
    seq         bigint      NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT 'epoch'
) WITH (fillfactor = 10);
INSERT INTO log_head DEFAULT VALUES;

CREATE TABLE events (
    seq         bigint      NOT NULL,
    id          uuid        NOT NULL,
    stream_type text        NOT NULL,
    stream_id   uuid        NOT NULL,
    version     bigint      NOT NULL,
    type        text        NOT NULL,
    data        jsonb       NOT NULL,
    meta        jsonb       NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (seq)
) PARTITION BY RANGE (seq);
CREATE INDEX events_stream ON events (stream_id, version);

-- first_seq and last_seq bound where a stream's events are, so that reading it opens only the partitions
-- that hold them.
CREATE TABLE streams (
    stream_type text   NOT NULL,
    stream_id   uuid   NOT NULL,
    version     bigint NOT NULL,
    first_seq   bigint NOT NULL,
    last_seq    bigint NOT NULL,
    PRIMARY KEY (stream_type, stream_id)
) WITH (fillfactor = 70);

CREATE TABLE idempotency_keys (
    scope       text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    first_seq   bigint      NOT NULL,
    last_seq    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    answer      json,
    PRIMARY KEY (scope, key)
);

-- Append-only. Privileges stop an ordinary role, its owner included; the triggers also stop a superuser
-- who does not go out of the way, and fire even in a replica session.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION make_append_only(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER refuse_statement BEFORE UPDATE OR DELETE OR TRUNCATE ON %s
                    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER refuse_statement', target);
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %s FROM PUBLIC, CURRENT_USER', target);
END $$;

SELECT make_append_only('events');

-- add_partitions makes the range partitions of parent, each `size` wide, that are missing up to and
-- including the one that holds `upto`. Safe when several nodes call it at once, and while appends go on:
-- attaching does not block inserts into the other partitions.
CREATE FUNCTION add_partitions(parent text, size bigint, upto bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    n    bigint := upto / size;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('add_partitions'), hashtext(parent));
    -- Partitions are made in order, so the newest one that exists has all before it.
    WHILE n > 0 AND to_regclass(format('%s_p%s', parent, lpad((n - 1)::text, 8, '0'))) IS NULL LOOP
        n := n - 1;
    END LOOP;
    FOR i IN n .. upto / size LOOP
        name := format('%s_p%s', parent, lpad(i::text, 8, '0'));
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING STORAGE)', name, parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                       parent, name, i * size, (i + 1) * size);
        IF parent = 'events' THEN
            PERFORM make_append_only(name::regclass);
        END IF;
    END LOOP;
END $$;

SELECT add_partitions('events', 1000000, 1000000);

CREATE SEQUENCE order_number_seq;
