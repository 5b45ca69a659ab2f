package delivery

import (
	"slices"
	"sort"
	"sync"
	"time"
)

// pages keeps for a moment what was read of channels that many are in, because those who come back at once miss the same.
// The log is only ever appended to, so a page stays right for every cursor within it. It is safe for concurrent use.
type pages struct {
	mu    sync.Mutex
	kept  []keptPage // the oldest first
	bytes int
}

type keptPage struct {
	Page
	channel string
	after   int64
	bytes   int
}

const (
	maxKeptPages = 128
	maxKeptBytes = 16 << 20
	keptFor      = 5 * time.Second // at most, from the first page that is kept
)

// keep adds a page, or lengthens the one that it follows up to a number of frames, and drops the oldest beyond the bounds.
func (p *pages) keep(channel string, after int64, page Page, enough int) {
	bytes := 0
	for _, f := range page.Frames {
		bytes += f.Size()
	}
	if bytes > maxKeptBytes || page.Position <= after {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.kept) == 0 {
		time.AfterFunc(keptFor, p.drop)
	}
	p.bytes += bytes
	follows := slices.IndexFunc(p.kept, func(k keptPage) bool {
		return k.channel == channel && k.Position == after && len(k.Frames)+len(page.Frames) <= enough
	})
	if follows >= 0 {
		k := &p.kept[follows]
		k.Page, k.bytes = k.with(page), k.bytes+bytes
	} else {
		p.kept = append(p.kept, keptPage{Page: page, channel: channel, after: after, bytes: bytes})
	}
	for len(p.kept) > maxKeptPages || p.bytes > maxKeptBytes {
		p.bytes -= p.kept[0].bytes
		p.kept = slices.Delete(p.kept, 0, 1)
	}
}

func (p *pages) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept, p.bytes = nil, 0
}

// find returns a page of a channel after a seq, as far as what is kept goes on without a gap and has not reached a
// number of frames; if nothing is kept, a page that ends where it begins. The frames are not to be changed.
func (p *pages) find(channel string, after int64, enough int) Page {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := Page{Position: after}
	for len(found.Frames) < enough {
		var best *keptPage
		for i := range p.kept {
			k := &p.kept[i]
			if k.channel == channel && k.after <= found.Position && k.Position > max(found.Position, best.end()) {
				best = k
			}
		}
		if best == nil {
			break
		}
		found = found.with(best.Page)
	}
	return found
}

func (k *keptPage) end() int64 {
	if k == nil {
		return 0
	}
	return k.Position
}

// with goes on with what another page has behind this one. Neither is changed.
func (p Page) with(next Page) Page {
	first := sort.Search(len(next.Frames), func(i int) bool { return next.Frames[i].Seq > p.Position })
	frames := next.Frames[first:]
	if len(p.Frames) > 0 {
		frames = append(slices.Clip(p.Frames), frames...)
	}
	return Page{Frames: frames, Position: next.Position, More: next.More}
}
