package socketio

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

func roomLog(t *testing.T) (*RoomLog, *pgxpool.Pool) {
	t.Helper()
	pool := pgtest.Pool(t, pgtest.Database(t))
	return NewRooms(pool, time.Hour, slog.New(slog.DiscardHandler)), pool
}

func TestEachStatementIsValid(t *testing.T) {
	t.Parallel()
	_, pool := roomLog(t)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for name, query := range statements() {
		if _, err := conn.Conn().Prepare(t.Context(), name, query); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// expectRooms has a connection come back, and returns it.
func expectRooms(t *testing.T, r Rooms, recovery uuid.UUID, user string, want map[string]int64) Holder {
	t.Helper()
	got, err := r.Recall(t.Context(), recovery, user, 0)
	if err != nil || !maps.Equal(got.From, want) || len(got.Taken) > 0 {
		t.Errorf("%s is in %+v, %v; want %v", user, got, err, want)
	}
	return Holder{recovery, user, got.Generation}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRoomsAreRememberedForTheUserUntilTheyAreForgotten(t *testing.T) {
	t.Parallel()
	r, _ := roomLog(t)
	a, b := uuid.New(), uuid.New()
	must(t, r.Remember(t.Context(), Holder{Recovery: a, User: "ann"}, "order:1", 5))
	must(t, r.Remember(t.Context(), Holder{Recovery: a, User: "ann"}, "order:2", 6))
	must(t, r.Remember(t.Context(), Holder{Recovery: b, User: "ann"}, "order:1", 7))
	back := expectRooms(t, r, a, "ann", map[string]int64{"order:1": 5, "order:2": 6})
	expectRooms(t, r, a, "bob", map[string]int64{})
	expectRooms(t, r, uuid.New(), "ann", map[string]int64{})

	must(t, r.Remember(t.Context(), Holder{Recovery: a, User: "ann"}, "order:1", 9))
	must(t, r.Forget(t.Context(), back, "order:2"))
	must(t, r.Forget(t.Context(), back, "order:2"))
	expectRooms(t, r, a, "ann", map[string]int64{"order:1": 9})
	expectRooms(t, r, b, "ann", map[string]int64{"order:1": 7})
}

// What a connection is told of a room that was taken from it may be lost: it is known until the connection has heard more.
func TestATakenRoomIsKnownUntilThatWasHeard(t *testing.T) {
	t.Parallel()
	r, _ := roomLog(t)
	a := uuid.New()
	recalls := func(user string, heard int64, taken ...string) {
		t.Helper()
		if got, err := r.Recall(t.Context(), a, user, heard); err != nil || !slices.Equal(got.Taken, taken) || got.From["order:9"] != 5 {
			t.Errorf("having heard %d, %s is told %+v, %v; want that %v were taken", heard, user, got, err, taken)
		}
	}
	for _, user := range []string{"ann", "bob"} {
		must(t, r.Remember(t.Context(), Holder{Recovery: a, User: user}, "order:9", 5))
	}
	must(t, r.Remember(t.Context(), Holder{Recovery: a, User: "ann"}, "order:1", 5))
	must(t, r.Take(t.Context(), Holder{Recovery: a, User: "ann"}, "order:1", 7))
	must(t, r.Take(t.Context(), Holder{Recovery: a, User: "ann"}, "order:2", 0))
	must(t, r.Take(t.Context(), Holder{Recovery: a, User: "ann"}, "order:3", 0))
	must(t, r.Remember(t.Context(), Holder{Recovery: a, User: "ann"}, "order:3", 2))
	must(t, r.Forget(t.Context(), Holder{Recovery: a, User: "ann"}, "order:3"))
	recalls("bob", 9)
	recalls("ann", 0, "order:1", "order:2")
	recalls("ann", 1, "order:1")
	recalls("ann", 7, "order:1")
	recalls("ann", 8)
	recalls("ann", 0)
}

// A client asked to leave a room, or it was taken from it, on a connection that it has given up since, and it is in the room
// again: it would not be told.
func TestWhatAnEarlierConnectionLosesIsKept(t *testing.T) {
	t.Parallel()
	r, _ := roomLog(t)
	first := Holder{Recovery: uuid.New(), User: "ann"}
	for _, room := range []string{"order:1", "order:2"} {
		must(t, r.Remember(t.Context(), first, room, 5))
	}
	back, err := r.Recall(t.Context(), first.Recovery, first.User, 7)
	must(t, err)
	second := Holder{first.Recovery, first.User, back.Generation}
	must(t, r.Forget(t.Context(), first, "order:1"))
	must(t, r.Take(t.Context(), first, "order:2", 7))
	expectRooms(t, r, first.Recovery, "ann", map[string]int64{"order:1": 5, "order:2": 5})

	// Nor what it joins anew, even if an earlier one joins it too.
	must(t, r.Remember(t.Context(), second, "order:1", 8))
	must(t, r.Remember(t.Context(), first, "order:1", 6))
	must(t, r.Forget(t.Context(), first, "order:1"))
	back, err = r.Recall(t.Context(), first.Recovery, first.User, 9)
	must(t, err)
	if back.From["order:1"] != 6 {
		t.Errorf("it is in %v", back.From)
	}
	third := Holder{first.Recovery, first.User, back.Generation}
	must(t, r.Forget(t.Context(), third, "order:1"))
	must(t, r.Take(t.Context(), third, "order:2", 9))
	if back, err = r.Recall(t.Context(), first.Recovery, first.User, 9); err != nil || len(back.From) > 0 || !slices.Equal(back.Taken, []string{"order:2"}) {
		t.Errorf("it is in %+v, %v", back, err)
	}
}

// A client joined a room and left it on a connection that it has given up since, which nobody had noted when it came back.
func TestWhatIsJoinedAfterNothingWasRecalledIsKept(t *testing.T) {
	t.Parallel()
	r, _ := roomLog(t)
	first := Holder{Recovery: uuid.New(), User: "ann"}
	second := expectRooms(t, r, first.Recovery, first.User, map[string]int64{})
	must(t, r.Remember(t.Context(), second, "order:1", 8))
	must(t, r.Remember(t.Context(), first, "order:1", 6))
	must(t, r.Forget(t.Context(), first, "order:1"))
	must(t, r.Take(t.Context(), first, "order:1", 7))
	expectRooms(t, r, first.Recovery, "ann", map[string]int64{"order:1": 6})
	expectRooms(t, r, first.Recovery, "bob", map[string]int64{})
}

// Who stays connected keeps its rooms, and who does not is not taken for somebody who does.
func TestRoomsAreKeptByTheirHolder(t *testing.T) {
	t.Parallel()
	r, pool := roomLog(t)
	h := Holder{Recovery: uuid.New(), User: "ann"}
	must(t, r.Remember(t.Context(), h, "order:1", 5))
	back, err := r.Recall(t.Context(), h.Recovery, h.User, 0)
	must(t, err)
	for _, c := range []struct {
		generation int64
		pruned     int64
	}{{back.Generation, 0}, {h.Generation, 1}} {
		_, err := pool.Exec(t.Context(), `UPDATE recovery_rooms SET used_at = now() - interval '26 hours'`)
		must(t, err)
		must(t, r.Keep(t.Context(), Holder{h.Recovery, h.User, c.generation}))
		if n, err := r.Prune(t.Context()); n != c.pruned || err != nil {
			t.Errorf("kept by generation %d: %d pruned, %v", c.generation, n, err)
		}
	}
}

// Who knows the pid of another user's connection can neither take its rooms over nor have them forgotten.
func TestAnotherUsersRoomsAreOutOfReach(t *testing.T) {
	t.Parallel()
	r, _ := roomLog(t)
	a := uuid.New()
	must(t, r.Remember(t.Context(), Holder{Recovery: a, User: "ann"}, "order:1", 5))
	must(t, r.Remember(t.Context(), Holder{Recovery: a, User: "bob"}, "order:1", 9))
	must(t, r.Remember(t.Context(), Holder{Recovery: a, User: "bob"}, "order:2", 9))
	expectRooms(t, r, a, "ann", map[string]int64{"order:1": 5})
	must(t, r.Forget(t.Context(), Holder{Recovery: a, User: "bob"}, "order:1"))
	expectRooms(t, r, a, "ann", map[string]int64{"order:1": 5})
	expectRooms(t, r, a, "bob", map[string]int64{"order:2": 9})
}

func TestRoomsThatNobodyCanComeBackForArePruned(t *testing.T) {
	t.Parallel()
	r, pool := roomLog(t)
	gone, back, fresh := uuid.New(), uuid.New(), uuid.New()
	for _, recovery := range []uuid.UUID{gone, back, fresh} {
		must(t, r.Remember(t.Context(), Holder{Recovery: recovery, User: "ann"}, "order:1", 5))
	}
	_, err := pool.Exec(t.Context(), `UPDATE recovery_rooms SET used_at = now() - interval '26 hours' WHERE session <> $1`, fresh)
	must(t, err)
	expectRooms(t, r, back, "ann", map[string]int64{"order:1": 5}) // it is used again
	parttest.Run(t, r.Run)
	parttest.Eventually(t, "the pruning", func() bool {
		var left int
		err := pool.QueryRow(t.Context(), `SELECT count(*) FROM recovery_rooms WHERE session = $1`, gone).Scan(&left)
		return err == nil && left == 0
	})
	expectRooms(t, r, back, "ann", map[string]int64{"order:1": 5})
	expectRooms(t, r, fresh, "ann", map[string]int64{"order:1": 5})
}

func TestPruningGoesOnBeyondOnePart(t *testing.T) {
	t.Parallel()
	r, pool := roomLog(t)
	_, err := pool.Exec(t.Context(), `
INSERT INTO recovery_rooms (session, user_id, room, from_seq, used_at)
SELECT gen_random_uuid(), 'ann', 'order:1', 1, now() - interval '3 days' FROM generate_series(1, $1)`, 2*pruneRows+1)
	must(t, err)
	if n, err := r.Prune(t.Context()); n != 2*pruneRows+1 || err != nil {
		t.Errorf("%d pruned, %v", n, err)
	}
}

func TestWithoutADatabaseRoomsAreAnError(t *testing.T) {
	t.Parallel()
	r, pool := roomLog(t)
	pool.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Remember(ctx, Holder{}, "order:1", 1); err == nil {
		t.Error("a room was remembered nowhere")
	}
	if err := r.Forget(ctx, Holder{}, "order:1"); err == nil {
		t.Error("a room was forgotten nowhere")
	}
	if _, err := r.Recall(ctx, uuid.New(), "ann", 0); err == nil {
		t.Error("rooms were recalled from nowhere")
	}
	if err := r.Keep(ctx, Holder{}); err == nil {
		t.Error("rooms were kept nowhere")
	}
}
