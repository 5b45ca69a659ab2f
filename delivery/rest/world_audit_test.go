package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/replay"
	"github.com/orderlog/orderlog/replay/proofs"
)

// hard is text that encoders like to write in another way: < > & U+2028, a letter beyond ASCII, quotes and a backslash.
const hard = "<b>&\u2028\u2029 é \\\"x\\\" \\u00e9 \\\\"

// event is the event seq as it is in the log: of every third an order's, by boss, and the others the menu's.
func event(seq int64) eventstore.Recorded {
	e := eventstore.Recorded{
		Seq: seq, ID: entryID, Stream: eventstore.StreamID{Type: "product", ID: productID}, Version: seq, Type: "product.changed",
		Data: json.RawMessage(fmt.Sprintf(`{"n": %d, "text": "%s"}`, seq, hard)), Meta: json.RawMessage(`{"userId": "asha"}`),
		RecordedAt: someTime.Add(time.Duration(seq) * time.Second),
	}
	if seq%3 == 0 {
		e.Stream, e.Type, e.Meta = eventstore.StreamID{Type: "order", ID: orderID}, "order.placed", json.RawMessage(`{"userId": "boss"}`)
	}
	return e
}

// lineOf is an event's canonical line.
func lineOf(seq int64) string { return string(event(seq).AppendCanonical(nil)) }

// linesOf are lines of events, each ended.
func linesOf(seqs ...int64) string {
	var text strings.Builder
	for _, seq := range seqs {
		text.WriteString(lineOf(seq) + "\n")
	}
	return text.String()
}

// upTo are the seqs from one to another.
func upTo(first, last int64) (seqs []int64) {
	for seq := first; seq <= last; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}

func (w *world) selects(q replay.Query, e eventstore.Recorded) bool {
	return e.Seq > q.After && (q.To == 0 || e.Seq <= q.To) && (len(q.Types) == 0 || slices.Contains(q.Types, e.Type)) &&
		(q.Stream == "" || strings.HasSuffix(e.Stream.String(), q.Stream)) &&
		(q.Since.IsZero() || !e.RecordedAt.Before(q.Since)) && (q.Until.IsZero() || e.RecordedAt.Before(q.Until))
}

func (w *world) History(ctx context.Context, q replay.HistoryQuery) (replay.History, error) {
	if q.OrderID != orderID {
		return replay.History{Seq: w.reached, LogID: logID}, domain.Errorf(domain.CodeNotFound, "there is no order %s", q.OrderID)
	}
	entry := replay.Entry{
		Seq: 3, ID: entryID, Stream: "order/" + orderID.String(), Version: 1, Type: "order.placed", At: someTime,
		Actor: replay.Actor{UserID: "asha", Role: "customer"}, Summary: "placed", Data: json.RawMessage(`{"html":"` + hard + `"}`), Meta: json.RawMessage(`{}`),
	}
	if q.Changes {
		entry.Changes = []replay.Change{{Path: "/status", To: json.RawMessage(`"placed"`)}, {Path: "/payments/0", From: json.RawMessage(`{"a":[1]}`)}}
	}
	h := replay.History{Entries: []replay.Entry{entry}, Seq: w.reached, LogID: logID}
	if w.more != "" {
		h.Next = 3
	}
	return h, w.query(ctx, q)
}

func (w *world) State(ctx context.Context, id uuid.UUID, m replay.Moment) (replay.State, error) {
	if id != orderID {
		return replay.State{Seq: w.reached}, domain.Errorf(domain.CodeNotFound, "there is no order %s", id)
	}
	s := replay.State{Order: w.order, Payments: slices.Clone(w.payments), Seq: w.reached, At: someTime}
	if m.Seq > 0 {
		s.Seq, s.Payments = m.Seq, []payment.Payment{}
	}
	return s, w.query(ctx, m)
}

func (w *world) Events(ctx context.Context, q replay.Query) (replay.Page, error) {
	page := replay.Page{Seq: w.reached}
	for seq := q.After + 1; seq <= w.reached; seq++ {
		if e := event(seq); w.selects(q, e) {
			if len(page.Events) == q.Limit {
				page.Next = page.Events[q.Limit-1].Seq
				break
			}
			page.Events = append(page.Events, e)
		}
	}
	return page, w.query(ctx, q)
}

func (w *world) Range(ctx context.Context, q replay.Query) (after, to int64, err error) {
	after, to = q.After, w.reached
	for after < to && !w.selects(q, event(after+1)) {
		after++
	}
	for after < to && !w.selects(q, event(to)) {
		to--
	}
	return after, to, w.query(ctx, "range")
}

// Each finds what there is, and more than there was when it is asked for more.
func (w *world) Each(ctx context.Context, q replay.Query, each func(eventstore.Recorded) error) error {
	w.mu.Lock()
	w.walks = append(w.walks, q)
	w.mu.Unlock()
	for seq := q.After + 1; q.To == 0 || seq <= q.To; seq++ {
		if w.meet != nil {
			if err := w.meet(ctx, seq); err != nil {
				return err
			}
		}
		if e := event(seq); w.selects(q, e) {
			if err := each(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) Checkpoint(ctx context.Context, since int64) (proofs.Checkpoint, error) {
	c := proofs.Checkpoint{Log: logID, Seq: w.reached, Root: "cm9vdA==", At: someTime, Note: "orderlog/…\n", PublicKey: "orderlog+0+key"}
	if since > 0 {
		c.Consistency = []string{"aGFzaA=="}
	}
	if since == w.reached {
		c.Consistency = []string{}
	}
	return c, w.query(ctx, since)
}

func (w *world) Proof(ctx context.Context, seq int64) (proofs.Proof, error) {
	w.mu.Lock()
	w.proved = append(w.proved, seq)
	behind := seq > w.reached || len(w.proved) <= w.lagging
	w.mu.Unlock()
	if seq > w.bounds.Head {
		return proofs.Proof{}, domain.Errorf(domain.CodeNotFound, "the log does not reach seq %d", seq)
	}
	if behind {
		return proofs.Proof{}, domain.Errorf(domain.CodeProjectionBehind, "seq %d is not in the tree yet", seq)
	}
	return proofs.Proof{
		Seq: seq, Event: json.RawMessage(lineOf(seq)), LeafHash: "bGVhZg==", TreeSize: w.reached, Checkpoint: "orderlog/…\n",
	}, w.query(ctx, seq)
}

func (w *world) Verification(ctx context.Context) (proofs.Verification, error) {
	if err := w.query(ctx, "verify"); err != nil {
		return proofs.Verification{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.verified[0]
	if len(w.verified) > 1 {
		w.verified = w.verified[1:]
	}
	return v, nil
}

// whole is a verification that found nothing.
func whole(head int64) proofs.Verification {
	return proofs.Verification{Done: true, Checked: head, Of: head, Report: proofs.Report{
		OK: true, Log: logID, Events: head, Head: head, TreeSize: head, Root: "cm9vdA==", StartedAt: someTime, Seconds: 0.5,
	}}
}

// audits are the paths of all that auditors ask.
func audits() []string {
	order := "/audit/orders/" + orderID.String()
	return []string{order, order + "/state", "/audit/events", "/audit/verify", "/audit/checkpoint", "/audit/events/3/proof"}
}

func audited(t *testing.T, h http.Handler, path string, more ...string) reply {
	t.Helper()
	return ask(t, h, "GET", prefix+"/audit"+path, "admin", more...)
}
