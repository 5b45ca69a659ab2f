package commands_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/commands/reactions"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/paysandbox"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// TestAReadModelRebuiltFromNothingIsTheOneKeptLive asks random things of two nodes at once, from several sides, with
// the projections and the reactions running, and then derives everything anew.
func TestAReadModelRebuiltFromNothingIsTheOneKeptLive(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	var services []*commands.Service
	var store *eventstore.Store
	for range 2 {
		store = eventstore.Open(pool, eventstore.Options{})
		parttest.Run(t, store.Run)
		services = append(services, commands.New(store, commands.NewSequenceNumbers(pool), paysandbox.New(), commands.Options{}))
	}
	stop := runProjections(t, pool, store, services[0])
	w, err := openTown(t.Context(), services...)
	if err != nil {
		t.Fatal(err)
	}
	w.goOnce(t)
	const sides, each = 6, 150
	var wg sync.WaitGroup
	for side := range sides {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(side)))
			for range each {
				if err := w.ask(t.Context(), stepOf(random)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	awaitAll(t, pool)
	stop()

	log, err := store.ReadLog(t.Context(), 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	l, err := read(log)
	if err == nil {
		err = l.check()
	}
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d events of %d orders and %d payments; what was asked came to %v", len(log), len(l.orders), len(l.payments), w.answers)
	checkEntries(t, log)

	live := dump(t, pool)
	empty(t, pool)
	stop = runProjections(t, pool, store, services[0])
	awaitAll(t, pool)
	stop()
	rebuilt := dump(t, pool)
	for table, rows := range live {
		if len(rows) == 0 {
			t.Errorf("%s is empty: the history tries too little", table)
		}
		if !slices.Equal(rows, rebuilt[table]) {
			for i := range max(len(rows), len(rebuilt[table])) {
				if i >= len(rows) || i >= len(rebuilt[table]) || rows[i] != rebuilt[table][i] {
					t.Errorf("%s has %d rows and rebuilt %d; row %d differs:\nlive    %s\nrebuilt %s", table, len(rows), len(rebuilt[table]), i, at(rows, i), at(rebuilt[table], i))
					break
				}
			}
		}
	}
	// The reactions have handled everything again, and nobody was told anything twice.
	if again, err := store.Head(t.Context()); err != nil || again.Seq != int64(len(log)) {
		t.Errorf("after deriving everything anew the log ends at %d, %v; it ended at %d", again.Seq, err, len(log))
	}
}

// goOnce takes an order through all that leaves rows behind, so that none of the tables depends on luck.
func (w *town) goOnce(t *testing.T) {
	t.Helper()
	place := step{What: "place with an offer"}
	for _, s := range []step{
		place, {What: "courier status"}, {What: "assign"}, {What: "locate"}, {What: "pay"}, {What: "captured"}, {What: "deliver"}, {What: "read all"},
	} {
		if err := w.do(t.Context(), w.services[0], s); err != nil {
			t.Fatalf("%s: %v", s.What, err)
		}
	}
}

func at(rows []string, i int) string {
	if i < len(rows) {
		return rows[i]
	}
	return "none"
}

// runProjections runs every group there is.
func runProjections(t *testing.T, pool *pgxpool.Pool, store *eventstore.Store, service *commands.Service) (stop func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	listener := eventstore.NewListener(pool, log, eventstore.EventsChannel)
	stopListener := parttest.Run(t, listener.Run)
	stopRunner := parttest.Run(t, projections.NewRunner(pool, listener, log,
		projections.Group{Name: projections.GroupFeed, Models: []projections.Model{projections.NewFeed(pool)}},
		projections.ViewsGroup(pool),
		projections.Group{Name: projections.GroupInbox, Models: []projections.Model{reactions.Inbox{Log: store}}},
		projections.Group{Name: projections.GroupRefunds, Models: []projections.Model{reactions.Refunds{Commands: service}}},
	).Run)
	return func() {
		stopRunner()
		stopListener()
	}
}

// awaitAll waits until every group that runs here has handled the whole log, which the reactions make longer.
func awaitAll(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	parttest.Eventually(t, "the groups to reach the end of the log", func() bool {
		var done bool
		err := pool.QueryRow(t.Context(), `SELECT min(c.position) = max(h.seq) FROM checkpoints c, log_head h WHERE c.group_name <> 'proofs'`).Scan(&done)
		return err == nil && done
	})
}

// derived are the tables that are derived from the log, in what their rows are compared.
var derived = []string{
	"orders_view", "products_view", "business_view", "payments_view", "couriers_view", "track_points", "offers_view",
	"inbox_view", "inbox_readers", "notification_log", "notification_channels",
}

func dump(t *testing.T, pool *pgxpool.Pool) map[string][]string {
	t.Helper()
	tables := map[string][]string{}
	for _, table := range derived {
		rows, err := pool.Query(t.Context(), fmt.Sprintf(`SELECT row_to_json(x)::text FROM %s x ORDER BY 1`, table))
		if err != nil {
			t.Fatal(err)
		}
		tables[table], err = pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
	}
	return tables
}

// empty forgets all that was derived.
func empty(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, table := range derived {
		if _, err := pool.Exec(t.Context(), "DELETE FROM "+table); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pool.Exec(t.Context(), `UPDATE checkpoints SET position = 0`); err != nil {
		t.Fatal(err)
	}
}

// checkEntries checks that each change of an order or a payment made one entry in its customer's inbox.
func checkEntries(t *testing.T, log []eventstore.Recorded) {
	t.Helper()
	causes := map[string]bool{
		"order.placed": true, "order.assigned": true, "order.status_changed": true, "order.cancelled": true,
		"payment.captured": true, "payment.failed": true, "payment.refunded": true,
	}
	want, entries := map[string]bool{}, 0
	for _, r := range log {
		switch {
		case causes[r.Type]:
			want[r.ID.String()] = true
		case r.Type == "inbox.entered":
			entries++
			var meta eventstore.Meta
			if err := json.Unmarshal(r.Meta, &meta); err != nil || !want[meta.CausationID] {
				t.Errorf("seq %d is an entry that nothing caused, or for the second time: %s", r.Seq, r.Meta)
			}
			delete(want, meta.CausationID)
		}
	}
	if len(want) > 0 || entries == 0 {
		t.Errorf("%d entries, %d changes have none", entries, len(want))
	}
}
