DROP FUNCTION keep_partitions, drop_notifications;

-- As before: add_partitions for the table of that name in the schema that is first in the search path: a rebuild
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
