-- append_events_2 does what append_events does, in two thirds of the time. append_events stays for the nodes that still
-- run the program before this one.
--
-- The expected versions are checked where the streams are moved, so that each of them is looked for once. INSERT … ON
-- CONFLICT goes by the index whatever the planner believed about the size of streams when it made the plan; an UPDATE
-- that joins them to the parameters might not. The row that is proposed for a stream that must be there already carries,
-- as a negative first_seq, the version to hold to. Such a row never stays: either the stream is there and keeps its
-- own first_seq, or the row is not counted and all is undone.
--
-- Parameters that are unnested in the SELECT list travel through no temporary storage, unlike those in FROM; data
-- and meta arrive as jsonb, parsed once.
CREATE FUNCTION append_events_2(
    checked_types text[], checked_ids uuid[], checked_versions bigint[], -- streams that are only held to a version
    moved_types text[], moved_ids uuid[], moved_from bigint[], moved_to bigint[], moved_first bigint[], moved_last bigint[],
    event_ids uuid[], stream_types text[], stream_ids uuid[], versions bigint[], types text[], datas jsonb[], metas jsonb[],
    key_scopes text[], keys text[], fingerprints bytea[], key_first bigint[], key_last bigint[], answers text[],
    channel text, OUT head bigint, OUT at timestamptz
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    added bigint := cardinality(event_ids);
    moved bigint := 0;
BEGIN
    SELECT h.seq, greatest(h.recorded_at, clock_timestamp()) INTO STRICT head, at FROM log_head h FOR UPDATE;
    IF added > 0 THEN
        WITH done AS (
            INSERT INTO streams AS s (stream_type, stream_id, version, first_seq, last_seq)
            SELECT u.stream_type, u.stream_id, u.version, CASE u.expected WHEN 0 THEN head + u.first_seq ELSE -u.expected END,
                   head + u.last_seq
            FROM (SELECT unnest(moved_types) AS stream_type, unnest(moved_ids) AS stream_id, unnest(moved_from) AS expected,
                         unnest(moved_to) AS version, unnest(moved_first) AS first_seq, unnest(moved_last) AS last_seq) u
            ON CONFLICT (stream_type, stream_id) DO UPDATE SET version = excluded.version, last_seq = excluded.last_seq
            WHERE s.version = -excluded.first_seq
            RETURNING s.first_seq
        )
        SELECT count(*) INTO moved FROM done WHERE first_seq > 0;
    END IF;
    IF moved <> cardinality(moved_ids) OR cardinality(checked_ids) > 0 AND EXISTS (
        SELECT FROM unnest(checked_types, checked_ids, checked_versions) AS u(stream_type, stream_id, version)
        LEFT JOIN LATERAL (
            SELECT s.version FROM streams s
            WHERE s.stream_type = u.stream_type AND s.stream_id = u.stream_id OFFSET 0
        ) s ON true
        WHERE coalesce(s.version, 0) <> u.version
    ) THEN
        RAISE EXCEPTION 'a stream is not at the expected version' USING ERRCODE = 'OL001';
    END IF;
    IF added > 0 THEN
        INSERT INTO events (seq, id, stream_type, stream_id, version, type, data, meta, recorded_at)
        SELECT head + u.n, u.id, u.stream_type, u.stream_id, u.version, u.type, u.data, u.meta, at
        FROM (SELECT generate_series(1, added) AS n, unnest(event_ids) AS id, unnest(stream_types) AS stream_type,
                     unnest(stream_ids) AS stream_id, unnest(versions) AS version, unnest(types) AS type,
                     unnest(datas) AS data, unnest(metas) AS meta) u;
        UPDATE log_head SET seq = head + added, recorded_at = at;
        PERFORM pg_notify(channel, (head + added)::text);
    END IF;
    IF cardinality(keys) > 0 THEN
        INSERT INTO idempotency_keys (scope, key, fingerprint, first_seq, last_seq, answer, recorded_at)
        SELECT u.scope, u.key, u.fingerprint, CASE u.first_seq WHEN 0 THEN 0 ELSE head + u.first_seq END,
               head + u.last_seq, u.answer::json, at
        FROM unnest(key_scopes, keys, fingerprints, key_first, key_last, answers)
            AS u(scope, key, fingerprint, first_seq, last_seq, answer);
    END IF;
END $$;
