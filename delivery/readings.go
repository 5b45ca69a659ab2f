package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/orderlog/orderlog/projections"
)

// readings reads the feed for those who catch up. A few readings run at once; what is asked for meanwhile is gathered, and
// asked of the feed in one round trip as soon as one of them has ended. Who asks for what is being read already, or was
// just now of a channel that many are in, shares it.
type readings struct {
	feed    Feed
	encode  func([]projections.Notification) ([]*Frame, error)
	most    int // at once
	page    int // frames
	timeout time.Duration
	kept    pages

	mu      sync.Mutex
	ended   bool
	askers  int
	flights map[string]*flight   // those that somebody waits for
	queue   []*flight            // of those, what is yet to be read, in the order it was asked for …
	shared  map[string][]*flight // … but for the channels that many are in, each of which has a queue of its own
	batches map[*batch]struct{}  // that are being read
	running sync.WaitGroup
}

var errHubEnded = errors.New("the hub has ended")

// flight is a reading of the feed, by itself or together with others.
type flight struct {
	projections.Reading
	shared  string // the channel, if it is one that many are in
	asker   int    // who asked first
	key     string
	waiting int    // for it
	over    bool   // it is read, or nobody waits for it any more
	batch   *batch // that it is read in; nil: none yet

	done chan struct{} // closed when these are set:
	page Page
	err  error
}

// batch is what is asked of the feed in one round trip.
type batch struct {
	flights []*flight
	open    int                // flights that are not over
	cancel  context.CancelFunc // when all of them are
}

// A batch is bounded by its readings, by their channels, and by the pages that their frames make. That of a channel which
// many are in is always read in full.
const (
	maxBatch         = 64
	maxBatchChannels = 256
	maxBatchPages    = 4
)

func newReadings(cfg Config, encode func([]projections.Notification) ([]*Frame, error)) *readings {
	return &readings{
		feed: cfg.Feed, encode: encode, most: cfg.Readers, page: cfg.PageSize, timeout: cfg.ReadTimeout,
		flights: map[string]*flight{}, shared: map[string][]*flight{}, batches: map[*batch]struct{}{},
	}
}

// sharedChannel says that many are in a channel: it is read by itself.
func sharedChannel(channel string) bool {
	return channel == projections.ChannelAll || strings.HasPrefix(channel, projections.ChannelRole(""))
}

// asked is one of the pages that a client waits for: what was kept, and what follows it.
type asked struct {
	kept   Page
	rest   *flight // nil: what was kept will do
	joined bool    // somebody asked for it before
}

// read returns a page after a seq for each channel that many are in, and one for all the others, which reach upTo if no
// bound ends them before. Saved says that nothing had to be read for it alone.
func (r *readings) read(ctx context.Context, channels []string, after, upTo int64, limit int) (found []Page, saved bool, _ error) {
	wanted, saved, err := r.ask(channels, after, upTo, limit) //nolint:contextcheck // what is read for several outlives each of them
	if err != nil {
		return nil, false, err
	}
	for i, a := range wanted {
		page := a.kept
		if a.rest != nil {
			select {
			case <-ctx.Done():
				err = ctx.Err()
			case <-a.rest.done:
				err = a.rest.err
			}
			if err != nil {
				r.giveUp(wanted[i:])
			}
			switch {
			case a.joined && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
				return r.read(ctx, channels, after, upTo, limit) // the time was up of who came before, and not ours
			case err != nil:
				return nil, false, err
			}
			page = page.with(a.rest.page)
		}
		found = append(found, page)
	}
	return found, saved, nil
}

func (r *readings) ask(channels []string, after, upTo int64, limit int) (wanted []asked, saved bool, _ error) {
	var own []string
	saved = true
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, false, errHubEnded
	}
	r.askers++
	for _, channel := range channels {
		if !sharedChannel(channel) {
			own = append(own, channel)
			continue
		}
		a := asked{kept: r.kept.find(channel, after, r.page)}
		if len(a.kept.Frames) < r.page && (a.kept.Position < upTo || a.kept.Position == after) {
			f, joined := r.joinLocked([]string{channel}, a.kept.Position, r.page)
			if !joined {
				f.shared = channel
				r.shared[channel] = append(r.shared[channel], f)
			}
			a.rest, a.joined, saved = f, joined, saved && joined
		}
		wanted = append(wanted, a)
	}
	if len(own) > 0 || len(channels) == 0 { // of no channels, the page tells how far the log is
		f, joined := r.joinLocked(own, after, limit)
		if !joined {
			r.queue = append(r.queue, f)
		}
		wanted, saved = append(wanted, asked{rest: f, joined: joined}), saved && joined
	}
	if len(r.batches) < r.most {
		r.beginLocked()
	}
	return wanted, saved, nil
}

// joinLocked waits for a reading, a new one unless it was asked for already.
func (r *readings) joinLocked(channels []string, after int64, limit int) (f *flight, joined bool) {
	key := strconv.FormatInt(after, 10) + "\x00" + strconv.Itoa(limit) + "\x00" + strings.Join(channels, "\x00")
	f, joined = r.flights[key]
	if !joined {
		f = &flight{
			Reading: projections.Reading{Channels: channels, After: after, Limit: limit},
			asker:   r.askers, key: key, done: make(chan struct{}),
		}
		r.flights[key] = f
	}
	f.waiting++
	return f, joined
}

// giveUp waits no longer.
func (r *readings) giveUp(wanted []asked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range wanted {
		if f := a.rest; f != nil {
			if f.waiting--; f.waiting == 0 {
				r.overLocked(f)
			}
		}
	}
}

func (r *readings) land(f *flight, page Page, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.landLocked(f, page, err)
}

func (r *readings) landLocked(f *flight, page Page, err error) {
	if f.over { // nobody waits
		return
	}
	r.overLocked(f)
	f.page, f.err = page, err
	close(f.done)
}

// overLocked has nobody join a flight any more, and what nobody waits for not read.
func (r *readings) overLocked(f *flight) {
	if f.over {
		return
	}
	f.over = true
	delete(r.flights, f.key)
	if b := f.batch; b != nil {
		if b.open--; b.open == 0 {
			b.cancel()
		}
	}
}

// beginLocked reads what is queued, in batches until nothing is.
func (r *readings) beginLocked() {
	b, ctx := r.nextLocked()
	if b == nil {
		return
	}
	r.running.Go(func() {
		for b != nil {
			r.readBatch(ctx, b)
			r.mu.Lock()
			delete(r.batches, b)
			b, ctx = r.nextLocked()
			r.mu.Unlock()
		}
	})
}

// end gives up what is being read and waits for its end. Nothing is read afterwards.
func (r *readings) end() {
	r.mu.Lock()
	r.ended = true
	for b := range r.batches {
		b.cancel()
	}
	for _, f := range r.flights {
		if f.batch == nil {
			r.landLocked(f, Page{}, errHubEnded)
		}
	}
	r.mu.Unlock()
	r.running.Wait()
}

// nextLocked takes the next batch from the queues; nil when they are empty.
func (r *readings) nextLocked() (*batch, context.Context) {
	b := &batch{}
	for channel, queue := range r.shared {
		r.takeShared(b, channel, queue)
	}
	shared, channels := len(b.flights), 0
	for len(r.queue) > 0 && len(b.flights) < maxBatch {
		f := r.queue[0]
		if !f.over {
			if channels += len(f.Channels); channels > maxBatchChannels && len(b.flights) > shared {
				break
			}
			b.flights = append(b.flights, f)
		}
		r.queue[0] = nil // what lies before a slice is kept with it
		r.queue = r.queue[1:]
	}
	if len(b.flights) == 0 {
		return nil, nil
	}
	own := b.flights[shared:]
	for _, f := range own {
		f.Limit = min(f.Limit, max(1, maxBatchPages*r.page/len(own)))
	}
	for _, f := range b.flights {
		f.batch = b
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	b.open, b.cancel = len(b.flights), cancel
	r.batches[b] = struct{}{}
	return b, ctx
}

// takeShared takes at most two readings of a channel: the one that waits longest, and the one that begins at the lowest
// seq, because what it finds may do for the others. Those are looked at again when it has been read.
func (r *readings) takeShared(b *batch, channel string, queue []*flight) {
	var rest []*flight
	for _, f := range queue {
		if f.over {
			continue
		}
		if page := r.kept.find(channel, f.After, r.page); page.Position > f.After {
			r.landLocked(f, page, nil)
			continue
		}
		rest = append(rest, f)
	}
	if len(rest) > 0 {
		lowest := 0
		for i, f := range rest {
			if f.After < rest[lowest].After {
				lowest = i
			}
		}
		b.flights = append(b.flights, rest[0])
		if lowest > 0 {
			b.flights = append(b.flights, rest[lowest])
			rest = append(rest[:lowest], rest[lowest+1:]...)
		}
		rest = rest[1:]
	}
	if len(rest) == 0 {
		delete(r.shared, channel)
		return
	}
	r.shared[channel] = rest
}

// readBatch reads for all who wait. Where that fails, each reading that somebody still waits for is tried by itself, so that
// nobody's fails for the sake of another's. Not so where it takes too long, because the database then does for each.
func (r *readings) readBatch(ctx context.Context, b *batch) {
	err := r.fly(ctx, b.flights)
	if err == nil {
		return
	}
	several := r.severalAsked(b)
	for _, f := range b.flights {
		failed := err
		if r.isOver(f) {
			continue
		}
		if several && ctx.Err() == nil {
			failed = r.fly(ctx, []*flight{f})
		}
		if failed != nil {
			r.land(f, Page{}, failed)
		}
	}
}

func (r *readings) isOver(f *flight) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return f.over
}

func (r *readings) severalAsked(b *batch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(b.flights, func(f *flight) bool { return f.waiting > 1 || f.asker != b.flights[0].asker })
}

// fly asks the feed and lands the flights, unless it fails.
func (r *readings) fly(ctx context.Context, flights []*flight) error {
	wanted := make([]projections.Reading, len(flights))
	for i, f := range flights {
		wanted[i] = f.Reading
	}
	found, err := r.feed.Read(ctx, wanted)
	if err == nil && len(found) != len(wanted) {
		err = fmt.Errorf("%d pages for %d readings", len(found), len(wanted))
	}
	if err != nil {
		return fmt.Errorf("read the notification log, %d pages after %d: %w", len(wanted), wanted[0].After, err)
	}
	for i, f := range flights {
		page, err := r.made(f.Reading, found[i])
		if err == nil && f.shared != "" {
			r.kept.keep(f.shared, f.After, page, r.page)
		}
		r.land(f, page, err)
	}
	return nil
}

// made makes a page of what was found.
func (r *readings) made(wanted projections.Reading, found projections.Page) (Page, error) {
	if found.Expired {
		return Page{}, fmt.Errorf("read the notification log of %d channels after %d: %w", len(wanted.Channels), wanted.After, ErrExpired)
	}
	if err := checkPage(found, wanted.After); err != nil {
		return Page{}, err
	}
	frames, err := r.encode(found.Items)
	if err != nil {
		return Page{}, err
	}
	return Page{Frames: frames, Position: found.Position, More: found.More}, nil
}
