-- A node need not own the tables any more. What it does to the schema while it runs, which is to make partitions ahead and
-- to drop those of old notifications, it may ask for here as well: of the owner, within bounds. Who may ask is said by
-- `app migrate grant`; until then nobody but the owner may.

-- keep_partitions makes partitions as add_partitions does, for a role that does not own the table: of the tables that
-- grow, in their own width, and not further ahead of the log than a node ever needs.
CREATE FUNCTION keep_partitions(parent text, upto bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    size bigint := CASE parent WHEN 'events' THEN 1000000 WHEN 'notification_log' THEN 100000 WHEN 'notification_channels' THEN 100000 END;
BEGIN
    IF size IS NULL OR upto IS NULL OR upto < 0 OR upto > (SELECT seq FROM log_head) + 10 * size THEN
        RAISE EXCEPTION 'partitions of % up to % are not made for %', parent, upto, session_user USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM add_partitions(parent, size, upto);
END $$;

-- drop_notifications drops a partition of old notifications: one that lies below the floor altogether, so that nobody may
-- resume from what it holds.
CREATE FUNCTION drop_notifications(partition text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    n bigint := substring(partition FROM '^notification_(?:log|channels)_p([0-9]{8,12})$');
BEGIN
    IF n IS NULL OR (n + 1) * 100000 - 1 > (SELECT floor FROM notification_floor) THEN
        RAISE EXCEPTION 'partition % is not dropped: only notifications below the floor are', partition
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('DROP TABLE %I', partition);
END $$;

-- add_partitions as before for the owner, a rebuild included; others are passed on to what checks them.
CREATE OR REPLACE FUNCTION add_partitions(parent text, size bigint, upto bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    home text := current_schema();
    n    bigint := upto / size;
    name text;
BEGIN
    IF (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass(format('%I.%I', home, parent))) IS NOT TRUE THEN
        PERFORM keep_partitions(parent, upto);
        RETURN;
    END IF;
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

-- What runs with the owner's rights finds nothing by the caller's search path, least of all in its temporary schema.
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY['keep_partitions(text, bigint)', 'drop_notifications(text)']::regprocedure[] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', f, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
