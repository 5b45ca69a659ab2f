package crowd

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

// feedLink reads what its user is told page by page over REST, each page from any of the nodes, as a client does that keeps
// no connection. It is lost when a page cannot be read.
type feedLink struct {
	d     *device
	ctx   context.Context //nolint:containedctx // of all its requests, and ended by close
	end   context.CancelFunc
	begun bool
	more  bool // another page is there already
}

// errNoAnswer is why a device that only asks has lost its connection.
var errNoAnswer = errors.New("no answer")

func dialFeed(ctx context.Context, d *device, _ string) (link, error) {
	reading, end := context.WithCancel(context.WithoutCancel(ctx))
	return &feedLink{d: d, ctx: reading, end: end}, nil
}

func (l *feedLink) say(string, any, int64) error { return errNoSay }

func (l *feedLink) close() { l.end() }

// read takes in a page.
func (l *feedLink) read() error {
	d := l.d
	if l.begun && !l.more && !pause(l.ctx, 200*time.Millisecond+time.Duration(d.rng.Int64N(int64(3*time.Second)))) {
		return l.ctx.Err()
	}
	l.begun = true
	d.mu.Lock()
	query := url.Values{"lastSeq": {strconv.FormatInt(d.cursor, 10)}, "limit": {strconv.Itoa(1 + d.rng.IntN(50))}}
	if d.logID != "" {
		query.Set("log", d.logID)
	}
	d.mu.Unlock()
	a := d.api.do(l.ctx, d.rng.IntN(len(d.api.urls)), ask{method: http.MethodGet, path: "/feed?" + query.Encode(), user: d.user})
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case a.status == 0:
		return errNoAnswer
	case a.status == http.StatusOK:
		return l.page(a)
	case a.passing():
		return &closedError{a.status, a.code}
	}
	return d.faulty("a page is answered %d %s", a.status, a.body)
}

// page takes in what was answered. mu is held.
func (l *feedLink) page(a answer) error {
	d := l.d
	var p struct {
		Items *[]frame `json:"items"`
		Next  *string  `json:"next"`
		Seq   *int64   `json:"seq"`
		Log   string   `json:"log"`
	}
	if err := json.Unmarshal(a.body, &p); err != nil || p.Items == nil || p.Seq == nil || p.Log == "" {
		return d.faulty("a page has not what it must have: %s", a.body)
	}
	if *p.Seq != a.seq {
		return d.faulty("a page up to %d has X-Seq %d", *p.Seq, a.seq)
	}
	d.logID = p.Log
	if v := d.session; !v.registered {
		v.registered = true
		d.note(history.Entry{Kind: history.Registered, Seq: *p.Seq, Flag: true})
	}
	for _, f := range *p.Items {
		if f.Prev == nil || f.Seq == nil || f.Event == nil || f.At == nil || *f.Seq > *p.Seq {
			return d.faulty("a page up to %d has what it must not have: %s", *p.Seq, a.body)
		}
		if err := d.event(*f.Prev, *f.Seq, *f.Event, f.Data, false); err != nil {
			return err
		}
	}
	if l.more = p.Next != nil; !l.more {
		return d.position("checkpoint", *p.Seq, "")
	}
	if last := strconv.FormatInt(d.cursor, 10); *p.Next != last || len(*p.Items) == 0 {
		return d.faulty("a page that ends with %s is followed by one behind %s", last, *p.Next)
	}
	return nil
}

// oneWay says that a device can say nothing: what it wants else it asks for when it comes back.
func (d *device) oneWay() bool { return slices.Contains([]string{sse, history.Feed}, d.log.Transport) }
