package eventstore_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// cutter loses the connection at a commit, once: before the server hears of it, or after.
type cutter struct {
	armed   atomic.Bool
	deliver bool   // the COMMIT reaches the server, only the answer is lost
	lost    func() // if not nil, is called when the connection is gone
	cuts    atomic.Int64
}

func (c *cutter) connect(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	// In this mode each statement travels as text, so the cutter can see the COMMIT.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return &cutConn{Conn: conn, cutter: c}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

type cutConn struct {
	net.Conn
	cutter *cutter
}

// isCommit tells the write that commits, with or without a look-up before it, from one that only describes the
// statements: it has their parameters, of which the channel of the notification is one.
func isCommit(b []byte) bool {
	return bytes.Contains(b, []byte(eventstore.EventsChannel)) &&
		(bytes.Contains(b, []byte("COMMIT")) || bytes.Contains(b, []byte("append_events")))
}

func (c *cutConn) Write(b []byte) (int, error) {
	if isCommit(b) && c.cutter.armed.CompareAndSwap(true, false) {
		c.cutter.cuts.Add(1)
		if c.cutter.deliver {
			if _, err := c.Conn.Write(b); err != nil {
				return 0, err
			}
			// One byte of the answer: the server is at work on what it was sent.
			if _, err := c.Read(make([]byte, 1)); err != nil {
				return 0, err
			}
		}
		_ = c.Close()
		if c.cutter.lost != nil {
			c.cutter.lost()
		}
		return len(b), nil // as the kernel says of what it has taken and the network then loses
	}
	return c.Conn.Write(b)
}

func TestALostCommitIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, delivered := range map[string]bool{
		"lost before the server heard of it: it is tried again":   false,
		"lost after the server heard of it: it is not done twice": true,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cut := &cutter{deliver: delivered}
			store := open(t, cut.connect(t, pgtest.Database(t)), eventstore.Options{})
			s := fresh()
			if _, err := store.Append(t.Context(), one(s, 0)); err != nil {
				t.Fatal(err)
			}
			cut.armed.Store(true)
			r, err := store.Append(t.Context(), one(s, 1))
			if err != nil || r.FirstSeq != 2 || r.LastSeq != 2 {
				t.Errorf("the append whose commit was cut: %+v, %v", r, err)
			}
			cut.armed.Store(true)
			lookedUp := one(s, eventstore.AnyVersion) // by way of a look-up
			if r, err := store.Append(t.Context(), lookedUp); err != nil || r.FirstSeq != 3 || r.LastSeq != 3 {
				t.Errorf("the append after a look-up whose commit was cut: %+v, %v", r, err)
			}
			cut.armed.Store(true)
			alone := eventstore.Append{Key: &eventstore.IdempotencyKey{Scope: "ann", Key: "the-key"}}
			if r, err := store.Append(t.Context(), alone); err != nil || r.LastSeq != 3 || r.RecordedAt.IsZero() {
				t.Errorf("the key whose commit was cut: %+v, %v", r, err)
			}
			if r, err := store.Append(t.Context(), one(s, 3)); err != nil || r.LastSeq != 4 {
				t.Errorf("the append after it: %+v, %v", r, err)
			}
			if log, err := store.ReadLog(t.Context(), 0, 10); err != nil || len(log) != 4 {
				t.Errorf("the log has %d events, %v", len(log), err)
			}
			if n := cut.cuts.Load(); n != 3 {
				t.Errorf("%d commits were cut, want 3", n)
			}
		})
	}
}

// The second try stores some of what was lost, and runs into what others have done meanwhile with the rest: each append is
// answered by how the second try went, and not as if the first had been carried out.
func TestALostCommitOfSeveralIsAnsweredByWhatWasStored(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	cut := &cutter{}
	store := open(t, cut.connect(t, url), eventstore.Options{})
	other := open(t, pgtest.Pool(t, url), eventstore.Options{})
	taken, free := fresh(), fresh()
	cut.lost = func() {
		if _, err := other.Append(context.Background(), one(taken, 0)); err != nil {
			t.Errorf("the other's append: %v", err)
		}
	}

	// Nobody can append while somebody has the head's lock, so that both wait and go into one batch.
	lock, err := pgtest.Pool(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), `SELECT FROM log_head FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		r   eventstore.Result
		err error
	}
	ask := func(a eventstore.Append) <-chan answer {
		answered := make(chan answer, 1)
		go func() {
			r, err := store.Append(context.Background(), a)
			answered <- answer{r, err}
		}()
		return answered
	}
	first := ask(one(fresh(), 0))
	parttest.Eventually(t, "the first append waits for the head", func() bool { return waitsForTheHead(t, lock) })
	mine := ask(one(free, 0))
	parttest.Eventually(t, "the second waits behind it", func() bool { return store.Stats().Queued == 1 })
	theirs := ask(one(taken, 0))
	parttest.Eventually(t, "the third waits behind it", func() bool { return store.Stats().Queued == 2 })
	cut.armed.Store(true)
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}

	if a := <-first; a.err != nil || a.r.LastSeq != 1 {
		t.Errorf("the first append: %+v, %v", a.r, a.err)
	}
	if a := <-mine; a.err != nil || a.r.FirstSeq != 3 || a.r.LastSeq != 3 {
		t.Errorf("what nobody else wanted: %+v, %v; want seq 3", a.r, a.err)
	}
	var conflict *eventstore.ConflictError
	if a := <-theirs; !errors.As(a.err, &conflict) || conflict.Actual != 1 {
		t.Errorf("what the other was faster with: %+v, %v; want a conflict", a.r, a.err)
	}
	if log, err := store.ReadLog(t.Context(), 0, 10); err != nil || len(log) != 3 || log[1].Stream != taken || log[2].Stream != free {
		t.Errorf("the log has %+v, %v", log, err)
	}
	if n := cut.cuts.Load(); n != 1 {
		t.Errorf("%d commits were cut, want 1", n)
	}
}

// waitsForTheHead says whether somebody waits for what a transaction has locked.
func waitsForTheHead(t *testing.T, holder pgx.Tx) (waits bool) {
	t.Helper()
	err := holder.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))`).Scan(&waits)
	if err != nil {
		t.Fatal(err)
	}
	return waits
}

func TestALostConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	store := open(t, pgtest.Pool(t, url), eventstore.Options{})
	superuser := pgtest.Pool(t, pgtest.SuperuserURL(t, url))
	for i := range int64(5) {
		// As a restart of the server does to the connections that wait in a pool.
		if _, err := superuser.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND usename <> current_user`); err != nil {
			t.Fatal(err)
		}
		if r, err := store.Append(t.Context(), one(fresh(), 0)); err != nil || r.LastSeq != i+1 {
			t.Fatalf("append %d after its connection was killed: %+v, %v", i+1, r, err)
		}
	}
}
