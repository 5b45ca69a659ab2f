package proofs

// The statements of this package. A test prepares each of them against the migrated schema.
const (
	// What is compared takes as long as the log is long, and is read by other connections too. The transaction locks nothing.
	sqlUnhurried = `SET LOCAL idle_in_transaction_session_timeout = 0`

	sqlNewestTiles = `
SELECT l.level, t.n, t.hashes FROM generate_series(0, 10) AS l(level)
CROSS JOIN LATERAL (SELECT n, hashes FROM merkle_tiles WHERE level = l.level ORDER BY n DESC LIMIT 1) t
ORDER BY l.level`

	// A tile is only ever replaced by one with more hashes.
	sqlSaveTiles = `
INSERT INTO merkle_tiles AS t (level, n, hashes)
SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bytea[])
ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes WHERE length(excluded.hashes) > length(t.hashes)`

	// The log's head, the group's checkpoint and the edge of the tree, in the snapshot of one statement: a row at least,
	// also where the head or the checkpoint is missing. Without the limits
	// the planner believes that there are a thousand heads, and compiles the statement each time for a second.
	sqlTree = `
SELECT (SELECT count(*) FROM log_head), h.log_id, h.seq, h.recorded_at,
	(SELECT count(*) FROM checkpoints WHERE group_name = 'proofs'), c.position, e.recorded_at, t.level, t.n, t.hashes
FROM (SELECT) one
LEFT JOIN (SELECT log_id, seq, recorded_at FROM log_head LIMIT 1) h ON true
LEFT JOIN (SELECT position FROM checkpoints WHERE group_name = 'proofs' LIMIT 1) c ON true
LEFT JOIN events e ON e.seq = c.position
LEFT JOIN LATERAL (
	SELECT l.level, newest.n, newest.hashes FROM generate_series(0, 10) AS l(level)
	CROSS JOIN LATERAL (SELECT n, hashes FROM merkle_tiles WHERE level = l.level ORDER BY n DESC LIMIT 1) newest
) t ON true
ORDER BY t.level`

	sqlReadTiles = `
SELECT u.i, t.hashes
FROM unnest($1::integer[], $2::bigint[]) WITH ORDINALITY AS u(level, n, i)
CROSS JOIN LATERAL (SELECT hashes FROM merkle_tiles WHERE level = u.level AND n = u.n OFFSET 0) t`

	sqlTilesFrom = `SELECT n, hashes FROM merkle_tiles WHERE level = $1 AND n >= $2 ORDER BY n LIMIT $3`

	// Tiles that a tree of $1 events does not have. None of the sums may overflow, whatever $1 is.
	sqlOddTiles = `
(SELECT level, n FROM merkle_tiles WHERE level < 0 ORDER BY level, n LIMIT 100)
UNION ALL
(SELECT level, n FROM merkle_tiles WHERE level > 10 ORDER BY level, n LIMIT 100)
UNION ALL
SELECT l.level, odd.n FROM generate_series(0, 10) AS l(level)
CROSS JOIN LATERAL (
	(SELECT n FROM merkle_tiles WHERE level = l.level AND n < 0 ORDER BY n LIMIT 100)
	UNION ALL
	(SELECT n FROM merkle_tiles
	WHERE level = l.level AND n >= 0 AND n >= ($1::bigint >> (6 * l.level) >> 6) + ((($1::bigint >> (6 * l.level)) & 63) > 0)::integer
	ORDER BY n LIMIT 100)
) odd`

	sqlTwins = `SELECT level, n FROM merkle_tiles GROUP BY level, n HAVING count(*) > 1 ORDER BY level, n LIMIT 100`

	sqlNewestSeq = `SELECT coalesce(max(seq), 0) FROM events`

	sqlNextSeq = `SELECT min(seq) FROM events WHERE seq > $1`

	sqlBeyond = `
(SELECT seq FROM events WHERE seq < 1 ORDER BY seq LIMIT 100)
UNION ALL
(SELECT seq FROM events WHERE seq > $1 ORDER BY seq LIMIT 100)`

	sqlStreams = `SELECT stream_type, stream_id, version, first_seq, last_seq FROM streams`

	// In whatever order: sorting it all would cost more than reading it.
	sqlIndex = `SELECT seq, type, actor, order_id FROM audit_index`

	sqlIndexRange = `SELECT seq, type, actor, order_id FROM audit_index WHERE seq > $1 AND seq <= $2 ORDER BY seq`

	sqlEnvelopes = `SELECT seq, type, data, meta FROM events
WHERE seq BETWEEN $1 AND $2 AND num_nonnulls(type, data, meta) = 3 ORDER BY seq`
)
