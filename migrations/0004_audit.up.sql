-- What auditors and operators ask of the log: by what its events are found, the Merkle tree over them, and how far
-- each group and each rebuild is. All of it is derived from the events, beside the log and not as indexes of it, so
-- that appends do not pay for it.

-- A row an event, in the order of seq: what events are searched by. order_id is the order an event is about, whatever
-- stream it is in: what ties an order's payments, couriers and messages to it.
CREATE TABLE audit_index (
    seq      bigint NOT NULL,
    type     text   NOT NULL,
    actor    text   NOT NULL, -- the user id of who caused it; empty: nobody is named
    order_id uuid
);
CREATE INDEX audit_index_seq ON audit_index USING brin (seq) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX audit_index_type ON audit_index (type, seq);
CREATE INDEX audit_index_actor ON audit_index (actor, seq);
CREATE INDEX audit_index_order ON audit_index (order_id, seq) WHERE order_id IS NOT NULL;

-- The tree of RFC 6962 over the events, in tiles of 64 hashes. A tile that is not full yet is replaced as it grows. Plain
-- storage keeps three full tiles to a page.
CREATE TABLE merkle_tiles (
    level  integer NOT NULL,
    n      bigint  NOT NULL,
    hashes bytea   NOT NULL,
    PRIMARY KEY (level, n)
);
ALTER TABLE merkle_tiles ALTER COLUMN hashes SET STORAGE PLAIN;

INSERT INTO checkpoints (group_name) VALUES ('proofs');

-- Why a group stands, for whoever asks from outside the node that works for it.
ALTER TABLE checkpoints
    ADD COLUMN failures   integer NOT NULL DEFAULT 0, -- attempts since the last that succeeded
    ADD COLUMN failed_seq bigint,
    ADD COLUMN last_error text,
    ADD COLUMN failed_at  timestamptz;

-- A row a read model that is derived anew, beside the live one, in a schema of its own.
CREATE TABLE rebuilds (
    name       text        PRIMARY KEY,
    position   bigint      NOT NULL,
    program    text        NOT NULL, -- the version that began it: another one begins anew
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- add_partitions as before, but for the table of that name in the schema that is first in the search path: a rebuild
-- has one of the same name in another schema.
CREATE OR REPLACE FUNCTION add_partitions(parent text, size bigint, upto bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    home text := current_schema();
    n    bigint := upto / size;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('add_partitions'), hashtext(parent));
    -- Partitions are made in order, so the newest one that exists has all before it.
    WHILE n > 0 AND to_regclass(format('%I.%I', home, format('%s_p%s', parent, lpad((n - 1)::text, 8, '0')))) IS NULL LOOP
        n := n - 1;
    END LOOP;
    FOR i IN n .. upto / size LOOP
        name := format('%s_p%s', parent, lpad(i::text, 8, '0'));
        CONTINUE WHEN to_regclass(format('%I.%I', home, name)) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I.%I (LIKE %I.%I INCLUDING DEFAULTS INCLUDING STORAGE)', home, name, home, parent);
        EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%s) TO (%s)',
                       home, parent, home, name, i * size, (i + 1) * size);
        IF parent = 'events' THEN
            PERFORM make_append_only(format('%I.%I', home, name)::regclass);
        END IF;
    END LOOP;
END $$;
