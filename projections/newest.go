package projections

import (
	"context"
	"sync"
)

const (
	// newestItems is how many notifications a Newest holds, newestBytes how much data in all.
	newestItems = 4096
	newestBytes = 8 << 20
)

// Newest reads the notification log as its FeedLog does, but the end of it from memory, as far as the feed of this
// process has written it: whoever follows the log closely then asks the database nothing. It hands out only what is
// committed. Where another node works for the feed, or it began elsewhere, everything comes from the database.
//
// It is safe for concurrent use, and its memory is bounded. What it hands out is shared: it is only to be read.
type Newest struct {
	*FeedLog

	mu     sync.Mutex
	from   int64 // items are all there is behind from, up to upTo
	upTo   int64
	items  []Notification
	bytes  int
	during written // of the transaction under way
}

// written is what one transaction of the feed writes: all notifications of the events after a seq, up to another.
type written struct {
	from, upTo int64
	items      []Notification
}

// Newest has the feed pass on what it writes. It is called before the feed runs.
func (f *Feed) Newest(log *FeedLog) *Newest {
	f.newest = &Newest{FeedLog: log}
	return f.newest
}

// Tail is that of [FeedLog].
func (n *Newest) Tail(ctx context.Context, after int64, limit int) (Page, error) {
	if page, ok := n.held(after, limit); ok {
		return page, nil
	}
	return n.FeedLog.Tail(ctx, after, limit)
}

// held answers from memory if there is something behind after. If not it leaves the answer to the database, where
// another node may have written more.
func (n *Newest) held(after int64, limit int) (Page, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if after < n.from || after >= n.upTo || limit < 1 {
		return Page{}, false
	}
	at := len(n.items)
	for at > 0 && n.items[at-1].Seq > after {
		at--
	}
	page := Page{Items: n.items[at:], Position: n.upTo}
	if len(page.Items) > limit {
		page.Items, page.More = page.Items[:limit], true
		page.Position = page.Items[limit-1].Seq
	}
	page.Items = append([]Notification(nil), page.Items...)
	return page, true
}

// writes is told of what the transaction under way writes, which may come to nothing.
func (n *Newest) writes(w written) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.during = w
}

// committed is told of the feed's checkpoint when it has moved.
func (n *Newest) committed(position int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.during
	n.during = written{}
	if w.upTo != position {
		return
	}
	if w.from != n.upTo { // somebody else wrote what is between
		n.from, n.items, n.bytes = w.from, nil, 0
	}
	n.upTo = position
	for _, item := range w.items {
		n.items = append(n.items, item)
		n.bytes += len(item.Data)
	}
	drop := 0
	for len(n.items)-drop > newestItems || n.bytes > newestBytes {
		n.from = n.items[drop].Seq
		n.bytes -= len(n.items[drop].Data)
		n.items[drop] = Notification{}
		drop++
	}
	n.items = n.items[drop:]
}
