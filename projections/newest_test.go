package projections_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/projections"
)

func notes(seqs ...int64) (items []projections.Notification) {
	for _, seq := range seqs {
		items = append(items, projections.Notification{
			Seq: seq, Event: "test", Channels: []string{"all"}, Data: json.RawMessage(fmt.Sprint(seq)), At: time.Unix(seq, 0).UTC(),
		})
	}
	return items
}

func seqsOf(items []projections.Notification) (seqs []int64) {
	for _, n := range items {
		seqs = append(seqs, n.Seq)
	}
	return seqs
}

func TestTheNewestAreThoseOfCommittedTransactions(t *testing.T) {
	t.Parallel()
	n := projections.NewNewest()
	held := func(after int64) ([]int64, int64, bool) {
		page, ok := n.Held(after, 100)
		return seqsOf(page.Items), page.Position, ok
	}
	expect := func(when string, after int64, items []int64, position int64) {
		t.Helper()
		if got, at, ok := held(after); !ok || at != position || !reflect.DeepEqual(got, items) {
			t.Errorf("%s: after %d it has %v up to %d (%t), want %v up to %d", when, after, got, at, ok, items, position)
		}
	}
	nothing := func(when string, after int64) {
		t.Helper()
		if got, at, ok := held(after); ok {
			t.Errorf("%s: after %d it has %v up to %d, want it to leave that to the database", when, after, got, at)
		}
	}
	nothing("at the start", 0)
	n.Writes(10, 20, notes(12, 15))
	nothing("while a transaction is under way", 10)
	n.Writes(10, 11, nil) // it came to nothing and is tried again, event by event
	n.Committed(11)
	expect("after a commit without notifications", 10, nil, 11)
	n.Writes(11, 12, notes(12))
	n.Committed(12)
	expect("after the next", 10, []int64{12}, 12)
	nothing("behind its end, where another node may go on", 12)
	nothing("from before its beginning", 9)
	n.Writes(12, 14, notes(13, 14))
	n.Committed(13) // of whatever it is
	nothing("after a commit of something else", 12)
	n.Writes(20, 22, notes(21, 22)) // another node did what is between
	n.Committed(22)
	nothing("over a gap", 12)
	expect("after the gap", 20, []int64{21, 22}, 22)
	expect("in the middle", 21, []int64{22}, 22)
}

func TestAPageOfTheNewestIsAsLongAsAsked(t *testing.T) {
	t.Parallel()
	n := projections.NewNewest()
	n.Writes(0, 9, notes(1, 3, 5, 7))
	n.Committed(9)
	page, ok := n.Held(1, 2)
	if want := (projections.Page{Items: notes(3, 5), Position: 5, More: true}); !ok || !reflect.DeepEqual(page, want) {
		t.Errorf("got %+v, want %+v", page, want)
	}
	page, ok = n.Held(1, 3)
	if want := (projections.Page{Items: notes(3, 5, 7), Position: 9}); !ok || !reflect.DeepEqual(page, want) {
		t.Errorf("got %+v, want %+v", page, want)
	}
}

func TestTheNewestAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		each, bytes int
	}{"in number": {1, 1}, "in bytes": {1, 1 << 20}, "in one large transaction": {10_000, 1}} {
		n := projections.NewNewest()
		at := int64(0)
		for at < 10_000 && int(at)*c.bytes < 40<<20 {
			var items []projections.Notification
			for range c.each {
				at++
				items = append(items, projections.Notification{Seq: at, Data: json.RawMessage(strings.Repeat("1", c.bytes))})
			}
			n.Writes(items[0].Seq-1, at, items)
			n.Committed(at)
		}
		held, bytes := int64(0), 0
		for after := at - 1; after >= 0; after-- {
			page, ok := n.Held(after, 100_000)
			if !ok {
				break
			}
			if held, bytes = at-after, len(page.Items)*c.bytes; int64(len(page.Items)) != held {
				t.Fatalf("%s: after %d it has %d of %d", name, after, len(page.Items), held)
			}
		}
		if held == 0 || held > 4096 || bytes > 8<<20 {
			t.Errorf("%s: it holds %d, of %d bytes", name, held, bytes)
		}
	}
}
