package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// TestAKilledRebuildGoesOn kills rebuilds of the orders in the middle, again and again, while a server answers.
func TestAKilledRebuildGoesOn(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pool := pgtest.Pool(t, url)
	head := past(t, pool, 40_000)
	env := serverSettings(t, url)
	s := start(t, env)
	admin := tokenFor(t, "boss", domain.RoleAdmin)
	parttest.Eventually(t, "the orders to be shown", func() bool {
		return s.must(t, 200, "GET", "/api/v1/orders?limit=1", admin, nil).seq() == head
	})
	seen := s.must(t, 200, "GET", "/api/v1/orders", admin, nil)
	live := tableOf(t, pool)
	if _, err := pool.Exec(t.Context(), `UPDATE orders_view SET status = 'lost' WHERE placed_seq = 1`); err != nil {
		t.Fatal(err)
	}

	last := int64(0)
	for range 3 {
		launch(t, env, "projections", "rebuild", "orders").killWhen(t, func() bool {
			at := rebuiltUpTo(t, pool)
			if at == head {
				t.Fatal("the rebuild was through before it was killed")
			}
			further := at > last
			last = max(last, at)
			return further
		})
		seen = notBefore(t, s, admin, seen)
	}
	final := launch(t, env, "projections", "rebuild", "orders")
	if err := <-final.ended; err != nil {
		t.Fatalf("the last rebuild: %v\n%s", err, final.out.String())
	}
	notBefore(t, s, admin, seen)
	if got := tableOf(t, pool); got != live {
		t.Error("what was rebuilt is not what was there before")
	}
	out := final.out.String()
	first := ""
	if err := pool.QueryRow(t.Context(), `SELECT id::text FROM orders_view WHERE placed_seq = 1`).Scan(&first); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, first) || !strings.Contains(out, fmt.Sprint(last)) {
		t.Errorf("it does not say that order %s differed, and that it went on from %d or later:\n%s", first, last, out)
	}
}

// TestAKilledTreeIsWholeAfterARestart kills servers while they bring the tree up to a long log.
func TestAKilledTreeIsWholeAfterARestart(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pool := pgtest.Pool(t, url)
	head := past(t, pool, 40_000)
	env := serverSettings(t, url)
	position := func() (at int64) {
		if err := pool.QueryRow(t.Context(), `SELECT position FROM checkpoints WHERE group_name = 'proofs'`).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	last := int64(0)
	for range 3 {
		launch(t, env, "serve").killWhen(t, func() bool {
			at := position()
			if at == head {
				t.Fatal("the tree was whole before the server was killed")
			}
			further := at > last
			last = max(last, at)
			return further
		})
	}
	s := start(t, env)
	admin := tokenFor(t, "boss", domain.RoleAdmin)
	parttest.Eventually(t, "the tree to be whole", func() bool { return position() == head })
	if signed := s.must(t, 200, "GET", "/api/v1/audit/checkpoint", admin, nil); signed.body["seq"] != float64(head) {
		t.Errorf("the checkpoint is %v of a log of %d", signed.body, head)
	}
	if report := s.must(t, 200, "GET", "/api/v1/audit/verify", admin, nil); report.body["ok"] != true || report.body["treeSize"] != float64(head) {
		t.Errorf("the verification says %v", report.body)
	}
}

// past appends orders until the log has n events, and leaves to a server only their read models and their tree.
func past(t *testing.T, pool *pgxpool.Pool, n int) (head int64) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	store := eventstore.Open(pool, eventstore.Options{})
	running := make(chan error, 1)
	go func() { running <- store.Run(ctx) }()
	var g errgroup.Group
	g.SetLimit(8)
	const each = 4 // events an order
	for first := 0; first < n/each; first += 200 {
		g.Go(func() error {
			a := eventstore.Append{Meta: eventstore.Meta{UserID: "ann", Role: "customer"}}
			for i := first; i < min(first+200, n/each); i++ {
				add, err := pastOrder(i)
				if err != nil {
					return err
				}
				a.Streams = append(a.Streams, add)
			}
			_, err := store.Append(t.Context(), a)
			return err
		})
	}
	err := g.Wait()
	stop()
	if err := errors.Join(err, <-running); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `
UPDATE checkpoints SET position = (SELECT seq FROM log_head) WHERE group_name IN ('feed', 'inbox', 'refunds');
UPDATE notification_floor SET floor = (SELECT seq FROM log_head)`); err != nil {
		t.Fatal(err)
	}
	if err := pool.QueryRow(t.Context(), `SELECT seq FROM log_head`).Scan(&head); err != nil {
		t.Fatal(err)
	}
	return head
}

func pastOrder(i int) (eventstore.StreamAppend, error) {
	id, number := uuid.New(), fmt.Sprintf("ORD-%06d", i)
	moved := func(from, to order.Status) domain.Event {
		return order.StatusChanged{OrderID: id, OrderNumber: number, CustomerID: "ann", From: from, To: to}
	}
	add := eventstore.StreamAppend{Stream: eventstore.StreamID{Type: order.StreamType, ID: id}}
	for _, e := range []domain.Event{
		order.Placed{OrderID: id, OrderNumber: number, CustomerID: "ann", Items: []order.Item{}, TotalAmount: 950, Currency: "EUR"},
		moved(order.StatusPlaced, order.StatusConfirmed), moved(order.StatusConfirmed, order.StatusPreparing), moved(order.StatusPreparing, order.StatusReady),
	} {
		typ, data, err := domain.Encode(e)
		if err != nil {
			return add, err
		}
		add.Events = append(add.Events, eventstore.NewEvent{Type: typ, Data: data})
	}
	return add, nil
}

func rebuiltUpTo(t *testing.T, pool *pgxpool.Pool) (at int64) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `SELECT coalesce(max(position), 0) FROM rebuilds`).Scan(&at); err != nil {
		t.Fatal(err)
	}
	return at
}

func tableOf(t *testing.T, pool *pgxpool.Pool) (hash string) {
	t.Helper()
	err := pool.QueryRow(t.Context(), `SELECT md5(string_agg(o::text, E'\n' ORDER BY id)) FROM orders_view o`).Scan(&hash)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// notBefore reads the orders and requires that they are not older than what was read before.
func notBefore(t *testing.T, s *server, token string, seen answer) answer {
	t.Helper()
	now := s.must(t, 200, "GET", "/api/v1/orders", token, nil)
	if now.seq() < seen.seq() {
		t.Errorf("the orders are as of %d, after they were as of %d", now.seq(), seen.seq())
	}
	return now
}

// process is the program in a process of its own.
type process struct {
	cmd   *exec.Cmd
	out   bytes.Buffer // to be read when it has ended
	ended chan error
}

// launch begins a command of the program; it is killed at the end of the test, if it lives that long.
func launch(t *testing.T, s settings, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self, args...), ended: make(chan error, 1)}
	p.cmd.Env = []string{asProgram + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for name, value := range s {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		p.ended <- p.cmd.Wait()
		close(gone)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-gone
	})
	return p
}

// killWhen kills it as soon as a condition holds, and returns when it is gone.
func (p *process) killWhen(t *testing.T, now func() bool) {
	t.Helper()
	for !now() {
		select {
		case err := <-p.ended:
			t.Fatalf("it ended before it was killed: %v\n%s", err, p.out.String())
		case <-time.After(time.Millisecond):
		}
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-p.ended; err == nil {
		t.Fatal("it ended by itself when it was killed")
	}
}
