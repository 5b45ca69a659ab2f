package rebuild_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/replay/rebuild"
)

func TestARowThatSomebodyChangedIsNamedAndMended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 20)
	head := w.waitFor(t)
	before := w.contents(t, viewTables...)
	changed := value[string](t, w, `UPDATE orders_view SET doc = replace(doc::text, '1800', '1')::json WHERE placed_seq = (SELECT min(placed_seq) FROM orders_view) RETURNING id::text`)
	deleted := value[string](t, w, `DELETE FROM payments_view WHERE started_seq = (SELECT max(started_seq) FROM payments_view) RETURNING id::text`)
	added := uuid.NewString()
	w.exec(t, `INSERT INTO track_points (order_id, seq, agent_id, latitude, longitude, at) VALUES ($1, 7, 'eve', 0, 0, now())`, added)
	read := value[string](t, w, `UPDATE inbox_readers SET upto_seq = upto_seq + 1 WHERE upto_seq = (SELECT max(upto_seq) FROM inbox_readers) RETURNING user_id`)

	for _, dry := range []bool{true, false} {
		r := w.rebuild(t, "views", rebuild.Options{DryRun: dry})
		if r.Different != 5 || len(r.Differences) != 5 || r.Seq != head || r.Swapped == dry {
			t.Fatalf("the rebuild came to %+v: %s", r, shown(r.Differences))
		}
		got := make(map[string]rebuild.Difference)
		for _, d := range r.Differences {
			got[d.Table+" "+strings.Split(d.Key, ", ")[0]] = d
			for _, row := range []json.RawMessage{d.Live, d.Rebuilt} {
				if row != nil && !json.Valid(row) {
					t.Errorf("a row of %s is shown as %s", d.Table, row)
				}
			}
		}
		d := got["orders_view id="+changed]
		if !strings.Contains(string(d.Live), `"totalAmount":1,`) || !strings.Contains(string(d.Rebuilt), `"totalAmount":1800,`) {
			t.Errorf("the order that was changed is shown as %+v", d)
		}
		if d := got["payments_view id="+deleted]; d.Live != nil || d.Rebuilt == nil {
			t.Errorf("the payment that was deleted is shown as %+v", d)
		}
		if d := got["track_points order_id="+added]; d.Key != "order_id="+added+", seq=7" || d.Live == nil || d.Rebuilt != nil {
			t.Errorf("the point that was added is shown as %+v", d)
		}
		if d := got["inbox_readers user_id="+read]; d.Live != nil == (d.Rebuilt != nil) {
			t.Errorf("the row whose key was changed is shown as %+v, once each", d)
		}
	}
	if got := w.contents(t, viewTables...); got != before {
		t.Errorf("rebuilt, the tables hold\n%s\nand held\n%s", got, before)
	}
	w.sellMany(t, 5) // and the group goes on with them
	w.waitFor(t)
	wantSame(t, w.rebuild(t, "views", rebuild.Options{DryRun: true}))
}

func TestOfManyDifferencesTheFirstHundredAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 120)
	w.waitFor(t)
	w.exec(t, `UPDATE orders_view SET agent_id = 'eve'`)
	w.exec(t, `UPDATE payments_view SET started_seq = -started_seq`)
	r := w.rebuild(t, "views", rebuild.Options{DryRun: true})
	if r.Different != 240 || len(r.Differences) != 100 {
		t.Fatalf("%d rows differ, %d are shown", r.Different, len(r.Differences))
	}
	last := ""
	for _, d := range r.Differences {
		if d.Table != "orders_view" || d.Key <= last {
			t.Errorf("%s %s is shown after %s", d.Table, d.Key, last)
		}
		last = d.Key
	}
}

func TestADocumentThatSaysTheSameInAnotherWayIsADifference(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.waitFor(t)
	w.exec(t, `UPDATE business_view SET doc = (doc::text || ' ')::json`)
	if r := w.rebuild(t, "business", rebuild.Options{}); r.Different != 1 {
		t.Errorf("%d rows differ", r.Different)
	}
	wantSame(t, w.rebuild(t, "business", rebuild.Options{}))
}

func TestANotificationThatSomebodyChangedIsNamedAndMended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 5)
	w.waitFor(t)
	before := w.contents(t, feedTables...)
	seq := value[int64](t, w, `UPDATE notification_log SET payload = '{}' WHERE seq = (SELECT max(seq) FROM notification_log) RETURNING seq`)
	w.exec(t, `DELETE FROM notification_channels WHERE seq = $1 AND channel = 'role:admin'`, seq)
	r := w.rebuild(t, "feed", rebuild.Options{})
	if r.Different != 2 || r.Differences[0].Key != fmt.Sprint("seq=", seq) || r.Differences[1].Key != fmt.Sprint("channel=role:admin, seq=", seq) {
		t.Errorf("%d rows differ: %s", r.Different, shown(r.Differences))
	}
	if got := w.contents(t, feedTables...); got != before {
		t.Errorf("rebuilt, the notification log holds\n%s\nand held\n%s", got, before)
	}
}
