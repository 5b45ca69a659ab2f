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

-- append_events is an append in one round trip, for the usual case that all of it can be stored: every stream
-- is at the version that was expected, and no idempotency key was used before. It stores all, or raises OL001
-- (a version) or unique_violation (a key) and stores nothing; the caller then finds out what fits by itself.
-- Seqs are given as counted from the log's head.
CREATE FUNCTION append_events(
    expected_types text[], expected_ids uuid[], expected_versions bigint[],
    event_ids uuid[], stream_types text[], stream_ids uuid[], versions bigint[], types text[], datas text[], metas text[],
    moved_types text[], moved_ids uuid[], moved_versions bigint[], moved_first bigint[], moved_last bigint[],
    key_scopes text[], keys text[], fingerprints bytea[], key_first bigint[], key_last bigint[], answers text[],
    channel text, OUT head bigint, OUT at timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    added bigint := cardinality(event_ids);
BEGIN
    SELECT h.seq, greatest(h.recorded_at, clock_timestamp()) INTO STRICT head, at FROM log_head h FOR UPDATE;
    IF EXISTS (
        SELECT FROM unnest(expected_types, expected_ids, expected_versions) AS u(stream_type, stream_id, version)
        LEFT JOIN LATERAL (
            SELECT s.version FROM streams s
            WHERE s.stream_type = u.stream_type AND s.stream_id = u.stream_id OFFSET 0
        ) s ON true
        WHERE coalesce(s.version, 0) <> u.version
    ) THEN
        RAISE EXCEPTION 'a stream is not at the expected version' USING ERRCODE = 'OL001';
    END IF;
    INSERT INTO events (seq, id, stream_type, stream_id, version, type, data, meta, recorded_at)
    SELECT head + u.n, u.id, u.stream_type, u.stream_id, u.version, u.type, u.data::jsonb, u.meta::jsonb, at
    FROM unnest(event_ids, stream_types, stream_ids, versions, types, datas, metas)
        WITH ORDINALITY AS u(id, stream_type, stream_id, version, type, data, meta, n);
    INSERT INTO streams AS s (stream_type, stream_id, version, first_seq, last_seq)
    SELECT u.stream_type, u.stream_id, u.version, head + u.first_seq, head + u.last_seq
    FROM unnest(moved_types, moved_ids, moved_versions, moved_first, moved_last)
        AS u(stream_type, stream_id, version, first_seq, last_seq)
    ON CONFLICT (stream_type, stream_id) DO UPDATE SET version = excluded.version, last_seq = excluded.last_seq;
    IF cardinality(keys) > 0 THEN
        INSERT INTO idempotency_keys (scope, key, fingerprint, first_seq, last_seq, answer, recorded_at)
        SELECT u.scope, u.key, u.fingerprint, CASE u.first_seq WHEN 0 THEN 0 ELSE head + u.first_seq END,
               head + u.last_seq, u.answer::json, at
        FROM unnest(key_scopes, keys, fingerprints, key_first, key_last, answers)
            AS u(scope, key, fingerprint, first_seq, last_seq, answer);
    END IF;
    IF added > 0 THEN
        UPDATE log_head SET seq = head + added, recorded_at = at;
        PERFORM pg_notify(channel, (head + added)::text);
    END IF;
END $$;

CREATE SEQUENCE order_number_seq;
