package check

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

// judgeAnswers: whatever is broken, the program knows what to say. 500 says that it did not, and who says no says why.
func judgeAnswers(h *history.History, f *findings) {
	for _, c := range h.Commands() {
		for _, a := range c.Attempts {
			if f.look(ruleAnswers); speechless(a.Status, a.Code) {
				f.add(ruleAnswers, "%s was answered %d with code %q by node %d at %s", words(c), a.Status, a.Code, a.Node, a.Ended)
			}
		}
	}
	for _, r := range h.Reads() {
		if f.look(ruleAnswers); speechless(r.Status, r.Code) {
			f.add(ruleAnswers, "%s %s was read by %s, which node %d answered %d with code %q at %s",
				r.What, r.Subject, r.User, r.Node, r.Status, r.Code, r.Ended)
		}
	}
}

func speechless(status int, code string) bool {
	return status == http.StatusInternalServerError || status != 0 && status/100 != 2 && code == ""
}

// answers are the acknowledged seqs by the time when they were answered: the newest one of each moment.
type answers struct {
	at  []time.Duration
	seq []int64
}

func answersOf(h *history.History) answers {
	var acks []history.Attempt
	for _, c := range h.Commands() {
		if a := c.Acknowledged(); a != nil {
			acks = append(acks, *a)
		}
	}
	slices.SortFunc(acks, func(a, b history.Attempt) int { return cmp.Compare(a.Ended, b.Ended) })
	var all answers
	newest := int64(0)
	for _, a := range acks {
		newest = max(newest, a.Seq)
		all.at, all.seq = append(all.at, a.Ended), append(all.seq, newest)
	}
	return all
}

// before is the newest seq that anybody had been answered before a moment.
func (a answers) before(at time.Duration) int64 {
	i, _ := slices.BinarySearch(a.at, at)
	if i == 0 {
		return 0
	}
	return a.seq[i-1]
}
