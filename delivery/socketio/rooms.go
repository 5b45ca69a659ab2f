package socketio

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Rooms remembers which rooms a connection joined, so that it is in them again when it is recovered, on any node. Its
// methods are safe for concurrent use. Their errors are faults: what they were about is not known to have been done.
//
// Whoever knows a connection's pid can name it, so what is noted for one user is out of the reach of all others.
type Rooms interface {
	// Remember notes that a connection is in a room, which counts for it from behind a seq. It replaces what was noted of the
	// room before.
	Remember(ctx context.Context, h Holder, room string, from int64) error
	// Forget takes it back. A room that is not noted is forgotten already.
	Forget(ctx context.Context, h Holder, room string) error
	// Take notes that a room was taken from a connection, which is told so behind what it was told of a seq. What it is told
	// may be lost.
	Take(ctx context.Context, h Holder, room string, at int64) error
	// Recall returns the rooms of a connection that comes back and has heard all up to a seq, and makes it their holder. It
	// forgets those whose taking the connection has heard of. Those of another user's are none.
	Recall(ctx context.Context, recovery uuid.UUID, user string, heard int64) (Recalled, error)
	// Keep keeps the rooms of a connection from being pruned for another retention.
	Keep(ctx context.Context, h Holder) error
}

// Holder is a user's connection that has rooms.
type Holder struct {
	Recovery uuid.UUID // that its pid names, as do those of the connections before it
	User     string
	// Generation rises from a connection to the one that recalls its rooms; 0: this one recalled none. What a client asked for
	// on a connection may reach a node when the client is back already and is in the room again, and would be out of it without
	// being told: so Forget and Take do nothing when the room was recalled or remembered by a later connection.
	Generation int64
}

// Recalled are the rooms of a connection.
type Recalled struct {
	From       map[string]int64 // that it is in, with the seqs that they count from
	Taken      []string         // that were taken from it, which it may not have heard
	Generation int64            // of their holder from now on
}

// all are the names of both.
func (r Recalled) all() []string { return append(slices.Sorted(maps.Keys(r.From)), r.Taken...) }

const (
	sqlRemember = `
INSERT INTO recovery_rooms AS known (session, user_id, generation, room, from_seq) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (session, user_id, room) DO UPDATE
SET from_seq = excluded.from_seq, used_at = excluded.used_at, generation = greatest(known.generation, excluded.generation)`

	// A room that was taken has a from_seq below 0: -1 is for seq 0, and so on down.
	sqlTake = `
INSERT INTO recovery_rooms AS known (session, user_id, generation, room, from_seq) VALUES ($1, $2, $3, $4, -1 - $5::bigint)
ON CONFLICT (session, user_id, room) DO UPDATE
SET from_seq = excluded.from_seq, used_at = excluded.used_at, generation = excluded.generation
WHERE known.generation <= excluded.generation`

	sqlForget = `DELETE FROM recovery_rooms WHERE session = $1 AND user_id = $2 AND generation <= $3 AND room = $4`

	// A transaction's number makes the generation, which a connection without rooms has to have as well: it may join some that
	// are asked to be left on the one before. After a dump is restored in another cluster these numbers may be lower than what
	// was noted: a room's generation never falls.
	//
	// used_at has an index, so it is written only now and then: most connections that come back have done so often.
	sqlRecall = `
WITH heard AS (
    DELETE FROM recovery_rooms WHERE session = $1 AND user_id = $2 AND from_seq BETWEEN -$4::bigint AND -1
), holder AS (
    SELECT pg_current_xact_id()::text::bigint AS generation
), recalled AS (
    UPDATE recovery_rooms AS known
    SET generation = greatest(known.generation, holder.generation),
        used_at = CASE WHEN used_at < clock_timestamp() - $3::interval THEN clock_timestamp() ELSE used_at END
    FROM holder
    WHERE session = $1 AND user_id = $2 AND from_seq NOT BETWEEN -$4::bigint AND -1
    RETURNING room, from_seq, known.generation
)
SELECT room, from_seq, greatest(holder.generation, recalled.generation) FROM holder LEFT JOIN recalled ON true`

	sqlKeep = `
UPDATE recovery_rooms SET used_at = clock_timestamp()
WHERE session = $1 AND user_id = $2 AND generation <= $3 AND used_at < clock_timestamp() - $4::interval`

	// A part at a time, so that no statement holds many locks. Rows that are being touched are left.
	sqlPrune = `
DELETE FROM recovery_rooms WHERE (session, user_id, room) IN (
    SELECT session, user_id, room FROM recovery_rooms WHERE used_at < clock_timestamp() - $1::interval
    ORDER BY used_at LIMIT $2 FOR UPDATE SKIP LOCKED)`
)

// statements returns the package's SQL by name, for a test that prepares each.
func statements() map[string]string {
	return map[string]string{"remember": sqlRemember, "forget": sqlForget, "take": sqlTake, "recall": sqlRecall, "keep": sqlKeep, "prune": sqlPrune}
}

const (
	// touchAfter is how old used_at gets before it is written again.
	touchAfter = time.Hour
	// keepExtra is for how long beyond the retention rooms are kept, so that whoever has a cursor that still is good
	// finds its rooms: connections that last touch theirs twice in that time.
	keepExtra = 24 * time.Hour

	pruneEvery = time.Hour
	pruneRows  = 1000
)

// RoomLog is Rooms in PostgreSQL, table recovery_rooms. It is safe for concurrent use.
type RoomLog struct {
	pool *pgxpool.Pool
	keep time.Duration
	log  *slog.Logger
}

// NewRooms returns a RoomLog that keeps what was not used for keep, the retention of notifications, and a day more.
func NewRooms(pool *pgxpool.Pool, keep time.Duration, log *slog.Logger) *RoomLog {
	if log == nil {
		log = slog.Default()
	}
	return &RoomLog{pool: pool, keep: keep, log: log}
}

// Remember implements Rooms.
func (r *RoomLog) Remember(ctx context.Context, h Holder, room string, from int64) error {
	if _, err := r.pool.Exec(ctx, sqlRemember, h.Recovery, h.User, h.Generation, room, from); err != nil {
		return fmt.Errorf("remember the room %q of a connection: %w", room, err)
	}
	return nil
}

// Forget implements Rooms.
func (r *RoomLog) Forget(ctx context.Context, h Holder, room string) error {
	if _, err := r.pool.Exec(ctx, sqlForget, h.Recovery, h.User, h.Generation, room); err != nil {
		return fmt.Errorf("forget the room %q of a connection: %w", room, err)
	}
	return nil
}

// Take implements Rooms.
func (r *RoomLog) Take(ctx context.Context, h Holder, room string, at int64) error {
	if _, err := r.pool.Exec(ctx, sqlTake, h.Recovery, h.User, h.Generation, room, at); err != nil {
		return fmt.Errorf("note that the room %q was taken from a connection: %w", room, err)
	}
	return nil
}

// Recall implements Rooms.
func (r *RoomLog) Recall(ctx context.Context, recovery uuid.UUID, user string, heard int64) (Recalled, error) {
	rows, err := r.pool.Query(ctx, sqlRecall, recovery, user, touchAfter, heard)
	if err != nil {
		return Recalled{}, fmt.Errorf("recall the rooms of a connection: %w", err)
	}
	recalled := Recalled{From: map[string]int64{}}
	var room *string // nil: it has none
	var from *int64
	var generation int64
	if _, err := pgx.ForEachRow(rows, []any{&room, &from, &generation}, func() error {
		switch {
		case room == nil:
		case *from < 0:
			recalled.Taken = append(recalled.Taken, *room)
		default:
			recalled.From[*room] = *from
		}
		recalled.Generation = max(recalled.Generation, generation)
		return nil
	}); err != nil {
		return Recalled{}, fmt.Errorf("recall the rooms of a connection: %w", err)
	}
	slices.Sort(recalled.Taken)
	return recalled, nil
}

// Keep implements Rooms.
func (r *RoomLog) Keep(ctx context.Context, h Holder) error {
	if _, err := r.pool.Exec(ctx, sqlKeep, h.Recovery, h.User, h.Generation, touchAfter); err != nil {
		return fmt.Errorf("keep the rooms of a connection: %w", err)
	}
	return nil
}

// Run prunes until ctx ends, at the start and then each hour, and returns nil.
func (r *RoomLog) Run(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if n, err := r.Prune(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "rooms of connections that are gone could not be pruned; trying again later", "err", err)
		} else if n > 0 {
			r.log.InfoContext(ctx, "pruned the rooms of connections that are gone", "rooms", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Prune deletes what was not used for so long that nobody can come back for it, and returns how many rooms that were.
func (r *RoomLog) Prune(ctx context.Context) (pruned int64, _ error) {
	for {
		tag, err := r.pool.Exec(ctx, sqlPrune, r.keep+keepExtra, pruneRows)
		if err != nil {
			return pruned, fmt.Errorf("prune the rooms of connections that are gone: %w", err)
		}
		pruned += tag.RowsAffected()
		if tag.RowsAffected() < pruneRows {
			return pruned, nil
		}
	}
}
