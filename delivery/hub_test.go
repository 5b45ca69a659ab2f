package delivery

import (
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/projections"
)

func TestFrameIsEncodedOnceForAll(t *testing.T) {
	t.Parallel()
	f, err := NewFrame(projections.Notification{
		Seq: 7, Event: "order:new", Data: json.RawMessage("{\n\"a\": 1 }"),
		At: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600)),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"prev":5,"seq":7,"event":"order:new","data":{"a":1},"at":"2026-01-02T02:04:05.000006Z"}`
	if got := string(f.Append(nil, 5)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(f.Data()); got != `{"a":1}` {
		t.Errorf("data %s", got)
	}
	if _, err := NewFrame(projections.Notification{Data: json.RawMessage(`{`)}); err == nil {
		t.Error("data that is not JSON was taken")
	}
}

func TestRingIsBoundedByFramesAndBytes(t *testing.T) {
	t.Parallel()
	frame := func(seq int64) *Frame {
		return &Frame{Seq: seq, tail: make([]byte, 1000)}
	}
	check := func(r ring, wantFloor int64, wantCount int) {
		t.Helper()
		if r.floor != wantFloor || r.count != wantCount {
			t.Errorf("floor %d, %d frames; want floor %d, %d frames", r.floor, r.count, wantFloor, wantCount)
		}
		dst := make([]*Frame, r.count+1)
		if n, ok := r.copyAfter(r.floor, dst); !ok || n != r.count {
			t.Errorf("after the floor: %d frames, %v", n, ok)
		}
		if _, ok := r.copyAfter(r.floor-1, dst); ok {
			t.Error("the ring answered for what it has dropped")
		}
	}
	byFrames := ring{maxFrames: 100, maxBytes: 1 << 30}
	byBytes := ring{maxFrames: 1 << 20, maxBytes: 10 * frame(1).Size()}
	tiny := ring{maxFrames: 10, maxBytes: 1}
	for seq := int64(1); seq <= 250; seq++ {
		byFrames.push(frame(seq))
		byBytes.push(frame(seq))
		tiny.push(frame(seq))
	}
	check(byFrames, 150, 100)
	check(byBytes, 240, 10)
	check(tiny, 250, 0)
}

func TestHubStartsWithAWarmRing(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	for range 100 {
		feed.Add("all")
	}
	hub := newHub(feed, func(c *Config) { c.RingFrames, c.PageSize = 30, 7 })
	mustStep(t, hub)
	s := subscribe(t, hub, []string{"all"}, 70, 0)
	for range 5 {
		mustPoll(t, s)
	}
	if st := hub.Stats(); st.ReplayedRing != 30 || st.ReplayedFeed != 0 || feed.Reads() != 0 {
		t.Errorf("%+v, %d readings of the database", st, feed.Reads())
	}
}

func TestHubSurvivesFaultsAndSkipsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		broken := errors.New("the database is away")
		var away atomic.Bool
		feed.OnTail(func() error {
			if away.Load() {
				return broken
			}
			return nil
		})
		hub := runHub(t, feed, nil)
		s := subscribe(t, hub, []string{"all"}, 0, 0)
		wantCaughtUp(t, s, 0)

		away.Store(true)
		feed.Add("all")
		<-time.After(time.Minute)
		wantNothing(t, s)
		if !errors.Is(hub.Err(), broken) {
			t.Errorf("Err: %v", hub.Err())
		}
		away.Store(false)
		wantNext(t, s, 1)
		synctest.Wait()
		if hub.Err() != nil {
			t.Errorf("Err after the fault: %v", hub.Err())
		}

		// A log that goes back, as after a restore, is not delivered.
		feed.Forget()
		<-time.After(time.Minute)
		wantNothing(t, s)
		if hub.Err() == nil || hub.Position() != 1 {
			t.Errorf("Err: %v, position %d", hub.Err(), hub.Position())
		}
	})
}

func TestPagesOutOfOrderAreRefused(t *testing.T) {
	t.Parallel()
	items := func(seqs ...int64) (out []projections.Notification) {
		for _, s := range seqs {
			out = append(out, projections.Notification{Seq: s})
		}
		return out
	}
	for name, page := range map[string]projections.Page{
		"position goes back":        {Position: 4},
		"not after the cursor":      {Items: items(5), Position: 6},
		"twice":                     {Items: items(6, 6), Position: 6},
		"falling":                   {Items: items(7, 6), Position: 7},
		"beyond the position":       {Items: items(6, 8), Position: 7},
		"more, but nothing to show": {Position: 7, More: true},
	} {
		if err := checkPage(page, 5); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := checkPage(projections.Page{Items: items(6, 9), Position: 12}, 5); err != nil {
		t.Error(err)
	}
}
