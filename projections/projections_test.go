package projections_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// place appends an order of its own and returns its id and seq.
func (w *world) place(t *testing.T, customer string) (uuid.UUID, int64) {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	e := placed(customer, 1)
	e.OrderID = id
	return id, w.append(t, order.StreamType, id, e)
}

func (w *world) move(t *testing.T, id uuid.UUID, customer string, to order.Status) int64 {
	t.Helper()
	return w.append(t, order.StreamType, id, order.StatusChanged{OrderID: id, CustomerID: customer, To: to, Message: "on"})
}

func TestTheViewsShowWhatTheLogSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)

	b, seq, err := views.Business(t.Context())
	if err != nil || b.IsOpen || seq != 0 {
		t.Errorf("before the first event the business is %+v at %d, %v", b, seq, err)
	}
	pizza := uuid.New()
	w.append(t, business.StreamType, business.StreamID, business.Opened{BusinessName: "Luigi", Message: "Ciao"})
	w.append(t, menu.StreamType, pizza, menu.Added{ProductID: pizza, Name: "Pizza", Price: 900, Currency: "EUR", Available: true})
	id, _ := w.place(t, "ann")
	price := int64(950)
	w.append(t, menu.StreamType, pizza, menu.Updated{ProductID: pizza, Price: &price})
	last := w.move(t, id, "ann", order.StatusConfirmed)

	if err := views.WaitFor(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if b, seq, err = views.Business(t.Context()); err != nil || !b.IsOpen || b.BusinessName != "Luigi" || b.Version != 1 || seq != last {
		t.Errorf("the business is %+v at %d, %v", b, seq, err)
	}
	if p, seq, err := views.Product(t.Context(), pizza); err != nil || p.Price != 950 || p.Version != 2 || seq != last {
		t.Errorf("the product is %+v at %d, %v", p, seq, err)
	}
	if o, seq, err := views.Order(t.Context(), id); err != nil || o.Status != order.StatusConfirmed || o.TotalAmount != 1800 || o.Version != 2 || seq != last {
		t.Errorf("the order is %+v at %d, %v", o, seq, err)
	}
	if _, _, err := views.Order(t.Context(), uuid.New()); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("an order that is not there: %v", err)
	}
	if _, _, err := views.Product(t.Context(), uuid.New()); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("a product that is not there: %v", err)
	}
}

func TestWaitingForTheViewsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := projections.NewViews(w.pool).WaitFor(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for an event that does not come: %v", err)
	}
}

func TestListsAreReadInPagesThatSurviveInserts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)
	var placedIDs []uuid.UUID
	for i := range 7 {
		id, _ := w.place(t, []string{"ann", "bob"}[i%2])
		placedIDs = append(placedIDs, id)
	}
	last := w.move(t, placedIDs[2], "ann", order.StatusConfirmed)
	if err := views.WaitFor(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(placedIDs) // newest first

	var got []uuid.UUID
	query := projections.OrderQuery{Limit: 3}
	for {
		page, err := views.Orders(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Items {
			got = append(got, o.ID)
		}
		if page.Next == "" {
			break
		}
		query.After = page.Next
		_, seq := w.place(t, "eve") // between the pages
		if err := views.WaitFor(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, placedIDs) {
		t.Errorf("the pages have %v, want %v", got, placedIDs)
	}

	for name, c := range map[string]struct {
		query projections.OrderQuery
		want  int
	}{
		"of a customer":             {projections.OrderQuery{Customer: "bob"}, 3},
		"in a status":               {projections.OrderQuery{Status: "confirmed"}, 1},
		"of a customer in a status": {projections.OrderQuery{Customer: "bob", Status: "confirmed"}, 0},
		"of an agent":               {projections.OrderQuery{Agent: "dan"}, 0},
		"by all filters": {projections.OrderQuery{
			Status: "confirmed", Customer: "ann", From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour),
		}, 1},
		"from tomorrow":  {projections.OrderQuery{From: time.Now().Add(24 * time.Hour)}, 0},
		"until tomorrow": {projections.OrderQuery{To: time.Now().Add(24 * time.Hour), Customer: "ann"}, 4},
	} {
		c.query.Limit = 100
		page, err := views.Orders(t.Context(), c.query)
		if err != nil || len(page.Items) != c.want || page.Items == nil {
			t.Errorf("orders %s: %d, %v; want %d", name, len(page.Items), err, c.want)
		}
	}
	if _, err := views.Orders(t.Context(), projections.OrderQuery{Limit: 1, After: "?"}); domain.CodeOf(err) != domain.CodeInvalidRequest {
		t.Errorf("a cursor that is none: %v", err)
	}
}

func TestArchivedProductsAreListedOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)
	for i := range 3 {
		id := uuid.New()
		w.append(t, menu.StreamType, id, menu.Added{ProductID: id, Name: fmt.Sprint("Pizza ", i), Price: 900, Currency: "EUR"})
		if i == 1 {
			w.append(t, menu.StreamType, id, menu.Archived{ProductID: id})
		}
	}
	w.waitFor(t, 4)
	names := func(q projections.ProductQuery) string {
		page, err := views.Products(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range page.Items {
			names = append(names, p.Name)
		}
		return strings.Join(names, ", ")
	}
	if got := names(projections.ProductQuery{Limit: 10}); got != "Pizza 0, Pizza 2" {
		t.Errorf("the menu has %s", got)
	}
	if got := names(projections.ProductQuery{Limit: 10, IncludeArchived: true}); got != "Pizza 0, Pizza 1, Pizza 2" {
		t.Errorf("all of the menu is %s", got)
	}
}

func TestAnAnswerIncludesEveryEventUpToItsSeq(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)
	id, first := w.place(t, "ann")
	const steps = 200
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range steps { // the fold does not judge: it is the number of events that counts here
			w.move(t, id, "ann", order.StatusConfirmed)
		}
	}()
	if err := views.WaitFor(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	for seq := int64(0); seq < first+steps; {
		var o order.Order
		var err error
		if o, seq, err = views.Order(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if o.Version != seq { // it is the only stream, so its version is the seq
			t.Fatalf("an answer at seq %d shows version %d", seq, o.Version)
		}
	}
	<-done
}

// broken is a model that writes and then fails at one event, while its switch is on.
type broken struct {
	on    atomic.Bool
	at    int64
	tries atomic.Int64
}

func (b *broken) Project(_ context.Context, _ pgx.Tx, events []projections.Event) error {
	for _, e := range events {
		if e.Seq == b.at && b.on.Load() {
			b.tries.Add(1)
			return errors.New("planted fault")
		}
	}
	return nil
}

func TestAFailingModelKeepsNothingAndDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 20 {
		w.place(t, "ann")
	}
	fault := &broken{at: 11}
	fault.on.Store(true)
	runner := w.project(t, fault) // beside the feed, which has written when the fault strikes
	parttest.Eventually(t, "some tries", func() bool { return fault.tries.Load() >= 3 })

	feed := projections.NewFeedLog(w.pool)
	page, err := feed.Tail(t.Context(), 0, 100)
	if err != nil || len(page.Items) != 10 || page.Position != 10 {
		t.Errorf("while event 11 fails the feed has %d notifications and is at %d, %v", len(page.Items), page.Position, err)
	}
	var orphans int
	if err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM notification_channels WHERE seq > 10`).Scan(&orphans); err != nil || orphans > 0 {
		t.Errorf("%d rows are left of what failed, %v", orphans, err)
	}
	if err := projections.NewViews(w.pool).WaitFor(t.Context(), 20); err != nil {
		t.Errorf("the views did not go on: %v", err)
	}
	status := runner.Status()
	if status[0].Failures == 0 || status[0].FailedSeq != 11 || status[1].Failures != 0 {
		t.Errorf("the status is %+v", status)
	}

	fault.on.Store(false)
	w.waitFor(t, 20)
	if page, err = feed.Tail(t.Context(), 0, 100); err != nil || len(page.Items) != 20 {
		t.Errorf("after the fault the feed has %d notifications, %v", len(page.Items), err)
	}
}

func TestAReadModelThatLeftTheLogIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runner := w.project(t)
	id, seq := w.place(t, "ann")
	w.waitFor(t, seq)
	if _, err := w.pool.Exec(t.Context(), `DELETE FROM orders_view`); err != nil {
		t.Fatal(err)
	}
	w.move(t, id, "ann", order.StatusConfirmed)
	parttest.Eventually(t, "the alarm", func() bool {
		s := runner.Status()[1]
		return s.FailedSeq == 2 && strings.Contains(s.LastError, "does not follow the log")
	})
}

func TestAPageOfChannelsIsTheLogWithoutTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	ids := make([]uuid.UUID, 4)
	customers := []string{"ann", "bob", "ann", "eve"}
	for i := range ids {
		ids[i], _ = w.place(t, customers[i])
	}
	var last int64
	for i := range 60 {
		last = w.move(t, ids[i%4], customers[i%4], order.StatusConfirmed)
		if i%10 == 0 {
			last = w.append(t, business.StreamType, business.StreamID, business.Opened{})
		}
	}
	w.waitFor(t, last)
	feed := projections.NewFeedLog(w.pool)
	whole := read(t, func(after int64, limit int) (projections.Page, error) { return feed.Tail(t.Context(), after, limit) })
	if len(whole) != 70 {
		t.Fatalf("the log has %d notifications", len(whole))
	}
	for _, channels := range [][]string{
		{"all"},
		{"user:ann"},
		{"all", "role:customer", "user:ann"},
		{"all", "role:admin", "user:root"},
		{projections.ChannelOrder(ids[1]), "user:bob", "all"},
		{"user:nobody"},
	} {
		want := slices.Clone(whole)
		want = slices.DeleteFunc(want, func(n projections.Notification) bool {
			return !slices.ContainsFunc(n.Channels, func(c string) bool { return slices.Contains(channels, c) })
		})
		got := read(t, func(after int64, limit int) (projections.Page, error) {
			return feed.ReadChannels(t.Context(), channels, after, limit)
		})
		if a, b := fmt.Sprint(got), fmt.Sprint(want); a != b {
			t.Errorf("%v: %s, want %s", channels, a, b)
		}
	}
	bounds, err := feed.Bounds(t.Context())
	if err != nil || bounds.LogID == uuid.Nil || bounds.Position != last || bounds.Head != last || bounds.Floor != 0 {
		t.Errorf("bounds %+v, %v", bounds, err)
	}
}

// read goes through a log in small pages, and checks what each says of itself.
func read(t *testing.T, page func(after int64, limit int) (projections.Page, error)) []projections.Notification {
	t.Helper()
	var all []projections.Notification
	for after := int64(0); ; {
		p, err := page(after, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range p.Items {
			if n.Seq <= after {
				t.Fatalf("seq %d comes after %d", n.Seq, after)
			}
			after = n.Seq
			n.At = n.At.UTC()
			all = append(all, n)
		}
		if !p.More {
			return all
		}
		if len(p.Items) != 7 || p.Position != after {
			t.Fatalf("a full page of %d items ends at %d and says %d", len(p.Items), after, p.Position)
		}
	}
}

func TestRetentionMovesTheFloorToWhatIsTooOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	var last int64
	for range 9 {
		_, last = w.place(t, "ann")
	}
	w.waitFor(t, last)
	retention := projections.NewRetention(w.pool, time.Hour, slog.New(slog.DiscardHandler))
	feed := projections.NewFeedLog(w.pool)
	log, err := w.store.ReadLog(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		before time.Time
		floor  int64
	}{
		{log[0].RecordedAt, 0},
		{log[5].RecordedAt, 5},
		{log[2].RecordedAt, 5}, // it never falls
		{log[8].RecordedAt, 8},
		{log[8].RecordedAt.Add(time.Hour), 9},
		{log[8].RecordedAt.Add(time.Hour), 9},
	} {
		if err := retention.Expire(t.Context(), c.before); err != nil {
			t.Fatal(err)
		}
		if b, err := feed.Bounds(t.Context()); err != nil || b.Floor != c.floor {
			t.Errorf("what is from before %s is expired: floor %d, want %d, %v", c.before, b.Floor, c.floor, err)
		}
	}
	if _, err := feed.ReadChannels(t.Context(), []string{"role:admin"}, 8, 100); !errors.Is(err, projections.ErrExpired) {
		t.Errorf("a cursor below the floor: %v", err)
	}
	if page, err := feed.ReadChannels(t.Context(), []string{"role:admin"}, 9, 100); err != nil || page.Position != 9 {
		t.Errorf("a cursor at the floor: %+v, %v", page, err)
	}
	_, last = w.place(t, "ann")
	w.waitFor(t, last)
	if page, err := feed.ReadChannels(t.Context(), []string{"role:admin"}, 9, 100); err != nil || len(page.Items) != 1 {
		t.Errorf("what came after the floor was raised: %+v, %v", page, err)
	}
}

func TestRetentionDropsPartitionsBelowTheFloor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	first, seq := w.place(t, "ann")
	w.waitFor(t, seq)
	// As if a hundred thousand events had followed and were handled: the end of the first partition.
	superuser := pgtest.Pool(t, pgtest.SuperuserURL(t, w.url))
	event, err := json.Marshal(placed("ann", 2))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{
		`UPDATE log_head SET seq = 99998`, `UPDATE checkpoints SET position = 99998`,
		`INSERT INTO events SELECT g, gen_random_uuid(), 'order', gen_random_uuid(), 1, 'order.placed', '` + string(event) + `', '{}', now()
		 FROM generate_series(2, 99998) g`,
	} {
		if _, err := superuser.Exec(t.Context(), step); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		_, seq = w.place(t, "ann")
	}
	w.waitFor(t, seq)
	partitions := func() (n int) {
		err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_inherits
			WHERE inhparent IN ('notification_log'::regclass, 'notification_channels'::regclass)`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	all := partitions()
	retention := projections.NewRetention(w.pool, time.Hour, slog.New(slog.DiscardHandler))
	if err := retention.Expire(t.Context(), time.Now().Add(-time.Hour)); err != nil || partitions() != all {
		t.Fatalf("of %d partitions %d are left although nothing is old, %v", all, partitions(), err)
	}
	if err := retention.Expire(t.Context(), time.Now().Add(time.Hour)); err != nil || partitions() != all-2 {
		t.Fatalf("of %d partitions %d are left, want two less, %v", all, partitions(), err)
	}
	feed := projections.NewFeedLog(w.pool)
	if b, err := feed.Bounds(t.Context()); err != nil || b.Floor != seq {
		t.Errorf("bounds %+v, %v", b, err)
	}
	if _, err := feed.Tail(t.Context(), 0, 100); !errors.Is(err, projections.ErrExpired) {
		t.Errorf("a page that would miss what was dropped: %v", err)
	}
	if _, _, err := projections.NewViews(w.pool).Order(t.Context(), first); err != nil {
		t.Errorf("retention is for notifications, the order stays: %v", err)
	}
}
