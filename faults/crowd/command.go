package crowd

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/faults/history"
)

// wish is what is asked for: a command, and how it is asked over REST.
type wish struct {
	name         string // of history.Command
	method, path string
	body         any // nil: none
	subject      string
	wanted       map[string]string
	// key is the Idempotency-Key of all attempts; empty: a new one. The webhook's is in its body.
	key string
	// once says that it is asked for without a key, so once only.
	once bool
	// again is how often it is asked for again although it was acknowledged.
	again int
	// made says that the answer's id is the subject.
	made bool
	// kept says that the answer tells whether it was kept, which is noted with what was wanted.
	kept bool

	last answer // set by insist: the newest answer that there was
}

const (
	firstWait = 100 * time.Millisecond
	longWait  = 2 * time.Second
)

// insist asks until it is known what became of it, or patience ends, and adds the command to the history. Each attempt
// goes to another node than the one before. Without a user it is the payment provider who asks.
func (c *Crowd) insist(ctx context.Context, u *user, w *wish) *history.Command {
	q := ask{method: w.method, path: w.path, user: u, id: uuid.NewString(), key: w.key}
	if w.body != nil {
		body, err := json.Marshal(w.body)
		if err != nil {
			panic(fmt.Sprintf("crowd: %s: %v", w.name, err))
		}
		q.body = body
	}
	done := &history.Command{ID: q.id, Name: w.name, Subject: w.subject, Wanted: w.wanted, Role: "system"}
	if u != nil {
		done.User, done.Role = u.id, string(u.role)
		if q.key == "" && !w.once {
			q.key = uuid.NewString()
		}
	}
	done.Key = q.key
	if u == nil { // it is in the body
		q.key = ""
	}
	c.attempt(ctx, q, w, done)
	if w.kept && done.Acknowledged() != nil {
		w.noteKept(w.last.body)
	}
	if w.made && done.Acknowledged() != nil {
		var made struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(w.last.body, &made) // an answer without one has no subject, which is found
		done.Subject = made.ID
	}
	c.cfg.History.AddCommand(done)
	return done
}

// noteKept takes from an answer whether what was asked for is in the log. One that does not say so says nothing of it.
func (w *wish) noteKept(answer []byte) {
	var a struct{ Kept *bool }
	if json.Unmarshal(answer, &a) == nil && a.Kept != nil {
		w.wanted["kept"] = strconv.FormatBool(*a.Kept)
	}
}

func (c *Crowd) attempt(ctx context.Context, q ask, w *wish, done *history.Command) {
	until := time.Now().Add(c.cfg.Patience)
	node := rand.IntN(len(c.cfg.URLs))
	again := w.again
	for n := 0; ; n++ {
		began := c.cfg.History.Now()
		a := c.api.do(ctx, node, q)
		done.Attempts = append(done.Attempts, history.Attempt{
			Node: node, Began: began, Ended: c.cfg.History.Now(),
			Outcome: a.outcome(), Status: a.status, Code: a.code, Seq: a.seq, Replayed: a.replayed,
		})
		if a.status != 0 {
			w.last = a
		}
		wait := min(firstWait<<min(n, 8), longWait)
		switch acknowledged := a.outcome() == history.Acknowledged; {
		case done.Key == "":
			return
		case acknowledged && again > 0:
			again--
			wait = 0
		case done.Acknowledged() != nil, a.outcome() == history.Refused && !a.passing():
			return
		}
		if time.Until(until) < 0 || !pause(ctx, wait/2+rand.N(wait/2+1)) {
			return
		}
		node = another(node, len(c.cfg.URLs))
	}
}

// another is a random node that is not this one, if there is another.
func another(node, nodes int) int {
	if nodes == 1 {
		return node
	}
	return (node + 1 + rand.IntN(nodes-1)) % nodes
}
