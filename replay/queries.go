package replay

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// planned is how searches are run: planned for their values each time. What is rare and what is common differs by a
// million times between two values of the same filter, and a plan that is made for any value is wrong for one of them.
const planned = pgx.QueryExecModeCacheDescribe

// The statements of the audit. A test prepares each of them against the migrated schema.
const (
	// Rows of audit_index and events up to the position are final: what is read of them later is as of this moment still.
	sqlPoint = `
SELECT c.position, h.log_id, h.seq, clock_timestamp()
FROM checkpoints c CROSS JOIN log_head h WHERE c.group_name = 'proofs'`

	sqlPosition = `SELECT position FROM checkpoints WHERE group_name = 'proofs'`

	sqlAddKeys = `
INSERT INTO audit_index (seq, type, actor, order_id)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::uuid[])`

	// The seqs of an order in ($2, $3], the first $4 of them, with the moment they are of.
	sqlOrderSeqs = `
SELECT c.position, h.log_id, ARRAY(
	SELECT i.seq FROM audit_index i
	WHERE i.order_id = $1 AND i.seq > $2 AND i.seq <= least($3, c.position)
	ORDER BY i.seq LIMIT $4
)
FROM checkpoints c CROSS JOIN log_head h WHERE c.group_name = 'proofs'`

	// Without the events of some types.
	sqlOrderSeqsWithout = `
SELECT i.seq FROM audit_index i
WHERE i.order_id = $1 AND i.seq <= $2 AND i.type <> ALL($3::text[])
ORDER BY i.seq`

	eventColumns = `seq, id, stream_type, stream_id, version, type, data, meta, recorded_at`

	// The seqs are looked up before: joined to the index, the statement would have to look at every partition of the log.
	sqlReadEvents = `SELECT ` + eventColumns + ` FROM events WHERE seq = ANY($1::bigint[]) ORDER BY seq`

	sqlReadRange = `SELECT ` + eventColumns + ` FROM events WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3`

	sqlStreamBounds = `SELECT version, first_seq, last_seq FROM streams WHERE stream_type = $1 AND stream_id = $2`

	// Whether a stream has a version in a range of seqs.
	sqlHasVersion = `
SELECT EXISTS (
	SELECT FROM events WHERE stream_id = $1 AND stream_type = $2 AND version = $3 AND seq BETWEEN $4 AND $5
)`

	// All types of events that the log has, by one look into the index for each.
	sqlTypes = `
WITH RECURSIVE types(type) AS (
	(SELECT i.type FROM audit_index i ORDER BY i.type LIMIT 1)
	UNION ALL
	SELECT (SELECT i.type FROM audit_index i WHERE i.type > t.type ORDER BY i.type LIMIT 1)
	FROM types t WHERE t.type IS NOT NULL
)
SELECT type FROM types WHERE type IS NOT NULL`

	// All types of streams, by one look into the index for each, with the bounds of the stream of an id where there is one.
	sqlStreamsOf = `
WITH RECURSIVE types(stream_type) AS (
	(SELECT s.stream_type FROM streams s ORDER BY s.stream_type LIMIT 1)
	UNION ALL
	SELECT (SELECT s.stream_type FROM streams s WHERE s.stream_type > t.stream_type ORDER BY s.stream_type LIMIT 1)
	FROM types t WHERE t.stream_type IS NOT NULL
)
SELECT t.stream_type, s.first_seq, s.last_seq FROM types t
LEFT JOIN LATERAL (
	SELECT first_seq, last_seq FROM streams WHERE stream_type = t.stream_type AND stream_id = $1 OFFSET 0
) s ON true
WHERE t.stream_type IS NOT NULL`
)

// sqlSearch returns the statement that finds the first $3 seqs in ($1, $2] of the given number of types and perhaps of
// an actor, and takes the actor, if any, and then the types. Each type is a branch of its own: an index has the events
// of one type in the order of seq, so that each branch ends when it has enough; those of several types would all be read
// and sorted first.
func sqlSearch(types int, byActor bool) string {
	where, next := "i.seq > $1 AND i.seq <= $2", 4
	if byActor {
		where, next = where+" AND i.actor = $4", 5
	}
	branch := func(also string) string {
		return "(SELECT i.seq FROM audit_index i WHERE " + where + also + " ORDER BY i.seq LIMIT $3)"
	}
	if types == 0 {
		return branch("")
	}
	branches := make([]string, types)
	for n := range types {
		branches[n] = branch(fmt.Sprintf(" AND i.type = $%d", next+n))
	}
	if types == 1 {
		return branches[0]
	}
	return "SELECT seq FROM (" + strings.Join(branches, " UNION ALL ") + ") u ORDER BY seq LIMIT $3"
}

// sqlReadStreamRange returns the statement that reads the first $5 events of the stream ($2, $1) in ($3, $4], by types
// if $6 has any, and perhaps of an actor, $7. Their versions are in the order of their seqs, and have an index.
func sqlReadStreamRange(byActor bool) string {
	where := ""
	if byActor {
		where = ` AND meta @> jsonb_build_object('userId', $7::text)`
	}
	return `
SELECT ` + eventColumns + ` FROM events
WHERE stream_id = $1 AND stream_type = $2 AND seq > $3 AND seq <= $4
	AND (cardinality($6::text[]) = 0 OR type = ANY($6::text[]))` + where + `
ORDER BY version LIMIT $5`
}
