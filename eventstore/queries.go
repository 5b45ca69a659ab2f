package eventstore

// The statements of the store. A test prepares each of them against the migrated schema.
//
// Look-ups of several keys go through LATERAL (… OFFSET 0): whatever the planner believes about the size
// of streams (a generic plan may have been made while it was empty), each key costs one index probe.
const (
	sqlBegin    = `BEGIN ISOLATION LEVEL READ COMMITTED`
	sqlCommit   = `COMMIT`
	sqlRollback = `ROLLBACK`

	// The lock on the head is what orders all writers; it is held until commit. The greatest() keeps
	// recorded_at from falling when the clock is set back.
	sqlLockHead = `SELECT seq, greatest(recorded_at, clock_timestamp()) FROM log_head FOR UPDATE`

	sqlLookupStreams = `
SELECT u.n, s.version
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS u(stream_type, stream_id, n)
CROSS JOIN LATERAL (
	SELECT version FROM streams
	WHERE stream_type = u.stream_type AND stream_id = u.stream_id OFFSET 0
) s`

	sqlLookupKeys = `
SELECT u.n, k.fingerprint, k.first_seq, k.last_seq, k.recorded_at, k.answer
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(scope, key, n)
CROSS JOIN LATERAL (
	SELECT fingerprint, first_seq, last_seq, recorded_at, answer FROM idempotency_keys
	WHERE scope = u.scope AND key = u.key OFFSET 0
) k`

	sqlInsertEvents = `
INSERT INTO events (seq, id, stream_type, stream_id, version, type, data, meta, recorded_at)
SELECT $1 + u.n, u.id, u.stream_type, u.stream_id, u.version, u.type, u.data::jsonb, u.meta::jsonb, $2
FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::bigint[], $7::text[], $8::text[], $9::text[])
	WITH ORDINALITY AS u(id, stream_type, stream_id, version, type, data, meta, n)`

	sqlUpsertStreams = `
INSERT INTO streams (stream_type, stream_id, version, first_seq, last_seq)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT (stream_type, stream_id) DO UPDATE SET version = excluded.version, last_seq = excluded.last_seq`

	sqlInsertKeys = `
INSERT INTO idempotency_keys (scope, key, fingerprint, first_seq, last_seq, answer, recorded_at)
SELECT u.scope, u.key, u.fingerprint, u.first_seq, u.last_seq, u.answer::json, $7
FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::text[])
	AS u(scope, key, fingerprint, first_seq, last_seq, answer)`

	sqlMoveHead = `UPDATE log_head SET seq = $1, recorded_at = $2`

	sqlAppend = `
SELECT head, at FROM append_events_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`

	sqlNotify = `SELECT pg_notify($1, $2)`

	// Waits for a transaction that may still be committing: it holds the head.
	sqlAwaitHead = `SELECT 1 FROM log_head FOR SHARE`

	sqlNewerThan = `SELECT recorded_at > $1 FROM log_head`

	sqlEventExists = `SELECT seq, recorded_at FROM events WHERE stream_id = $1 AND id = $2 AND seq > $3`

	sqlStreamBounds = `
SELECT u.n, s.first_seq, s.last_seq
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS u(stream_type, stream_id, n)
CROSS JOIN LATERAL (
	SELECT first_seq, last_seq FROM streams
	WHERE stream_type = u.stream_type AND stream_id = u.stream_id OFFSET 0
) s`

	eventColumns = `seq, id, stream_type, stream_id, version, type, data, meta, recorded_at`

	sqlReadStream = `
SELECT ` + eventColumns + ` FROM events
WHERE stream_id = $1 AND stream_type = $2 AND version > $3 AND seq BETWEEN $4 AND $5
ORDER BY version`

	// The age is by the clock that recorded_at is of, in microseconds, and not below 0 when that clock was set
	// back. The seqs are looked up before: joined to the streams, the statement would have to look at every
	// partition of the log, and took 10 ms on one of 300.
	sqlReadLast = `
SELECT greatest(0, extract(epoch FROM clock_timestamp() - recorded_at) * 1000000)::bigint, ` + eventColumns + `
FROM events WHERE seq = ANY($1::bigint[])`

	sqlReadLog = `SELECT ` + eventColumns + ` FROM events WHERE seq > $1 AND seq <= $2 ORDER BY seq`

	// The answer lies in [low, high]; each step halves that. Where an event is missing the search ends early. LATERAL as
	// above: a step is one index probe.
	sqlSeqAt = `
WITH RECURSIVE search(low, high) AS (
	SELECT 0::bigint, seq FROM log_head
	UNION ALL
	SELECT CASE WHEN e.recorded_at <= $1 THEN e.seq ELSE s.low END,
	       CASE WHEN e.recorded_at <= $1 THEN s.high ELSE e.seq - 1 END
	FROM search s
	CROSS JOIN LATERAL (
		SELECT seq, recorded_at FROM events WHERE seq = (s.low + s.high + 1) / 2 OFFSET 0
	) e
	WHERE s.low < s.high
)
SELECT low, high FROM search ORDER BY high - low LIMIT 1`

	// The planner takes sqlSeqAt for a long one and compiles it first, which took 350 ms for a search of 1 ms.
	sqlNoJIT = `SET LOCAL jit = off`

	sqlHead = `SELECT log_id, seq, recorded_at FROM log_head`

	sqlAddPartitions = `SELECT add_partitions($1, $2, $3)`
)
