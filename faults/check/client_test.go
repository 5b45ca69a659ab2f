package check

import (
	"testing"

	"github.com/orderlog/orderlog/faults/history"
)

// A client that catches up slowly may be told how far it has come, but not that it is where the log was without that it has
// caught up.
func TestWhoCatchesUpIsToldHowFar(t *testing.T) {
	t.Parallel()
	for checkpoint, violations := range map[int64]int{0: 0, 4: 0, 5: 1} {
		f := newFindings()
		log := []history.Entry{
			{Kind: history.Opened, Seq: 0},
			{Kind: history.Registered, Seq: 5, Flag: true},
			{Kind: history.Checkpoint, Seq: checkpoint},
			{Kind: history.CaughtUp, Seq: 6},
			{Kind: history.Checkpoint, Seq: 7},
		}
		judgeClient(&history.Client{User: "carl", Role: "customer", Log: log}, newToldRule(f), answers{}, 7, f)
		if f.broken != violations {
			t.Errorf("%d: %v", checkpoint, f.told())
		}
	}
}

// Who reads pages is not told that it has caught up.
func TestWhoReadsPagesIsToldHowFarEachReaches(t *testing.T) {
	t.Parallel()
	for transport, violations := range map[string]int{history.Feed: 0, "ws": 1} {
		f := newFindings()
		log := []history.Entry{
			{Kind: history.Opened, Seq: 0},
			{Kind: history.Registered, Seq: 5, Flag: true},
			{Kind: history.Checkpoint, Seq: 5},
			{Kind: history.Checkpoint, Seq: 7},
		}
		judgeClient(&history.Client{User: "carl", Role: "customer", Transport: transport, Log: log}, newToldRule(f), answers{}, 7, f)
		if f.broken != violations {
			t.Errorf("%s: %v", transport, f.told())
		}
	}
}
