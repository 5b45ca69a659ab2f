package projections_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/projections"
)

// enter appends an entry with a title of its own and returns its id.
func (w *world) enter(t *testing.T, user, title string) uuid.UUID {
	t.Helper()
	id := uuid.New()
	w.append(t, inbox.StreamType, id, inbox.Entered{ID: id, UserID: user, Title: title, Message: "m", Type: "order", OrderID: &orderID})
	return id
}

func (w *world) read(t *testing.T, user string, id uuid.UUID) int64 {
	t.Helper()
	return w.append(t, inbox.StreamType, id, inbox.Read{ID: id, UserID: user})
}

func (w *world) readAll(t *testing.T, user string) int64 {
	t.Helper()
	return w.append(t, inbox.ReaderStreamType, inbox.ReaderID(user), inbox.AllRead{UserID: user})
}

// titles reads an inbox in pages of two: the titles, those of read entries in brackets, and how many are unread.
func titles(t *testing.T, views *projections.Views, user string, unread *bool) string {
	t.Helper()
	q := projections.InboxQuery{UserID: user, Unread: unread, Limit: 2}
	var titles []string
	for {
		page, err := views.Inbox(t.Context(), q)
		if err != nil || page.Items == nil || len(page.Items) > 2 {
			t.Fatalf("a page of %d entries, %v", len(page.Items), err)
		}
		for _, n := range page.Items {
			if n.Read != (n.ReadAt != nil) {
				t.Errorf("%s is read %v at %v", n.Title, n.Read, n.ReadAt)
			}
			if n.Read {
				n.Title = "(" + n.Title + ")"
			}
			titles = append(titles, n.Title)
		}
		if q.After = page.Next; q.After == "" {
			return fmt.Sprintf("%s: %d", strings.Join(titles, " "), page.Unread)
		}
	}
}

func TestAnEntryIsReadByItselfOrWithAllBeforeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)
	is := func(seq int64, all, unread, read string) {
		t.Helper()
		if err := views.WaitFor(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
		yes, no := true, false
		if got := titles(t, views, "ann", nil); got != all {
			t.Errorf("the inbox has %s; want %s", got, all)
		}
		if got := titles(t, views, "ann", &yes); got != unread {
			t.Errorf("unread are %s; want %s", got, unread)
		}
		if got := titles(t, views, "ann", &no); got != read {
			t.Errorf("read are %s; want %s", got, read)
		}
	}
	is(0, ": 0", ": 0", ": 0")
	w.enter(t, "ann", "1")
	two := w.enter(t, "ann", "2")
	w.enter(t, "bob", "b")
	three := w.enter(t, "ann", "3")
	is(w.read(t, "ann", two), "3 (2) 1: 2", "3 1: 2", "(2): 2")
	is(w.readAll(t, "ann"), "(3) (2) (1): 0", ": 0", "(3) (2) (1): 0")
	w.enter(t, "ann", "4")
	five := w.enter(t, "ann", "5")
	is(w.read(t, "ann", three), "5 4 (3) (2) (1): 2", "5 4: 2", "(3) (2) (1): 2") // read twice over
	is(w.read(t, "ann", five), "(5) 4 (3) (2) (1): 1", "4: 1", "(5) (3) (2) (1): 1")
	is(w.readAll(t, "ann"), "(5) (4) (3) (2) (1): 0", ": 0", "(5) (4) (3) (2) (1): 0")
	if got := titles(t, views, "bob", nil); got != "b: 1" {
		t.Errorf("the other user's inbox has %s", got)
	}
	if _, err := views.Inbox(t.Context(), projections.InboxQuery{UserID: "ann", Limit: 1, After: "?"}); domain.CodeOf(err) != domain.CodeInvalidRequest {
		t.Errorf("a cursor that is none: %v", err)
	}
}

func TestAnEntryWasReadWhenThatFirstHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)
	byAll := w.enter(t, "ann", "by all")
	byItself := w.enter(t, "ann", "by itself")
	w.read(t, "ann", byItself)  // seq 3
	w.readAll(t, "ann")         // seq 4
	w.enter(t, "ann", "later")  // seq 5
	w.read(t, "ann", byAll)     // seq 6, says nothing new
	last := w.readAll(t, "ann") // seq 7
	if err := views.WaitFor(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	log, err := w.store.ReadLog(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	page, err := views.Inbox(t.Context(), projections.InboxQuery{UserID: "ann", Limit: 10})
	if err != nil || len(page.Items) != 3 || page.Seq != last {
		t.Fatalf("the inbox is %+v, %v", page, err)
	}
	for i, want := range []struct {
		title       string
		entered, at time.Time
	}{
		{"later", log[4].RecordedAt, log[6].RecordedAt},
		{"by itself", log[1].RecordedAt, log[2].RecordedAt},
		{"by all", log[0].RecordedAt, log[3].RecordedAt},
	} {
		n := page.Items[i]
		if n.Title != want.title || !n.Read || n.ReadAt == nil || !n.ReadAt.Equal(want.at) || !n.CreatedAt.Equal(want.entered) ||
			n.UserID != "ann" || n.Type != "order" || n.OrderID == nil || *n.OrderID != orderID {
			t.Errorf("entry %d is %+v, read at %v; want %+v", i, n, n.ReadAt, want)
		}
	}
}

func TestPagesOfAnInboxSurviveInserts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)
	for i := range 5 {
		w.enter(t, "ann", fmt.Sprint(i))
	}
	var got []string
	seq := int64(5)
	for q := (projections.InboxQuery{UserID: "ann", Limit: 2}); ; {
		if err := views.WaitFor(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
		page, err := views.Inbox(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range page.Items {
			got = append(got, n.Title)
		}
		if q.After = page.Next; q.After == "" {
			break
		}
		w.enter(t, "ann", "new")
		seq++
	}
	if strings.Join(got, " ") != "4 3 2 1 0" {
		t.Errorf("the pages have %s", got)
	}
}

// What was entered before its user last read all is neither written when that happens nor looked at afterwards.
func TestReadingAllCostsTheSameHoweverMuchThereIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	views := projections.NewViews(w.pool)
	const old = 5000
	for _, step := range []string{ // as if so many entries of each of ten users had come
		`UPDATE log_head SET seq = 50000`, `UPDATE checkpoints SET position = 50000`,
		`INSERT INTO inbox_view (id, user_id, entered_seq, read, doc)
		 SELECT gen_random_uuid(), CASE g % 10 WHEN 0 THEN 'ann' ELSE 'user' || g % 10 END, g, false, '{}' FROM generate_series(1, 50000) g`,
	} {
		if _, err := w.pool.Exec(t.Context(), step); err != nil {
			t.Fatal(err)
		}
	}
	w.project(t)
	written := func() (n int) {
		err := w.pool.QueryRow(t.Context(), `SELECT count(DISTINCT xmin::text) FROM inbox_view WHERE entered_seq <= 50000`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	unread := func(seq int64) int64 {
		if err := views.WaitFor(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
		page, err := views.Inbox(t.Context(), projections.InboxQuery{UserID: "ann", Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		return page.Unread
	}
	if n := unread(0); n != old {
		t.Errorf("%d are unread, want %d", n, old)
	}
	if n := unread(w.readAll(t, "ann")); n != 0 {
		t.Errorf("after reading all %d are unread", n)
	}
	w.enter(t, "ann", "new")
	if n := unread(50002); n != 1 {
		t.Errorf("after one more entry %d are unread", n)
	}
	if n := written(); n != 1 {
		t.Errorf("the old entries were written by %d transactions, want the one that made them", n)
	}

	for _, sql := range []string{`ANALYZE inbox_view`, `ANALYZE inbox_readers`} {
		if _, err := w.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	yes := true
	for name, statement := range map[string]string{
		"the newest page": projections.InboxStatement(nil), "the newest unread page": projections.InboxStatement(&yes),
	} {
		var plan string
		rows, err := w.pool.Query(t.Context(), "EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off, BUFFERS off) "+statement, "ann", int64(1<<62), 3)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan += line + "\n"
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:actual rows=|Removed by Filter: )(\d+)`).FindAllStringSubmatch(plan, -1) {
			if n, err := strconv.Atoi(m[1]); err != nil || n > 10 {
				t.Errorf("%s looks at what is old (%s):\n%s", name, m[0], plan)
				break
			}
		}
		if !strings.Contains(plan, "inbox_view_unread") {
			t.Errorf("%s counts by another index:\n%s", name, plan)
		}
	}
}
