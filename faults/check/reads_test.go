package check

import (
	"testing"

	"github.com/orderlog/orderlog/faults/history"
)

// An answer to a command that changed nothing may name an old seq, or none: it says nothing about when that was.
func TestAReadIsNotTakenForNewerThanItWasAskedToBe(t *testing.T) {
	t.Parallel()
	s := evening(t)
	idle := s.does("courier.location", "delivery", courier2, order1, map[string]string{"kept": "false"})
	s.h.AddRead(history.Read{Began: 1, Ended: 2, What: "order", Subject: id(9), MinSeq: idle.Acknowledged().Seq, Seq: 1, Status: 404, Code: "not_found"})
	old := s.h.Reads()[0]
	old.MinSeq, old.Ended = 0, idle.Attempts[0].Began-1
	s.h.AddRead(old)
	if broken := s.judged(); len(broken) > 0 {
		t.Error(broken)
	}
}
