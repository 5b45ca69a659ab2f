package commands_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/eventstore"
)

type countingReads struct {
	commands.Store
	read atomic.Int64 // events
}

func (c *countingReads) ReadStreams(ctx context.Context, ids []eventstore.StreamID) (map[eventstore.StreamID][]eventstore.Recorded, error) {
	streams, err := c.Store.ReadStreams(ctx, ids)
	for _, events := range streams {
		c.read.Add(int64(len(events)))
	}
	return streams, err
}

func (c *countingReads) ReadLast(ctx context.Context, ids []eventstore.StreamID) (map[eventstore.StreamID]eventstore.Last, error) {
	last, err := c.Store.ReadLast(ctx, ids)
	c.read.Add(int64(len(last)))
	return last, err
}

func TestAnOrderThatNobodyContendsIsDecidedOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	counting := &countingReads{Store: s.store}
	s.Service = commands.New(counting, s.numbers, s.bank, commands.Options{})
	s.offer(func(*offer.Terms) {})
	if _, err := s.use(customer); err != nil { // there are tallies from then on
		t.Fatal(err)
	}
	before := counting.read.Load()
	if _, err := s.use(customer); err != nil {
		t.Fatal(err)
	}
	if n := counting.read.Load() - before; n != 5 {
		t.Errorf("read %d events; want 5: of the business, the product, the offer and two tallies", n)
	}
}

// What a popular offer and a long ride cost does not grow with them.
func TestWhatACommandReadsDoesNotGrow(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	counting := &countingReads{Store: s.store}
	s.Service = commands.New(counting, s.numbers, s.bank, commands.Options{})
	s.offer(func(*offer.Terms) {})
	s.online(raj)
	o := s.assign(s.placed(), raj)
	cost := func() int64 {
		before := counting.read.Load()
		if _, err := s.use(customer); err != nil {
			t.Fatal(err)
		}
		must(s.ReportLocation(t.Context(), by(raj), commands.ReportLocation{OrderID: o.ID}))(t)
		return counting.read.Load() - before
	}
	cost() // the first finds no tallies
	first := cost()
	for range 20 {
		cost()
	}
	if last := cost(); last != first {
		t.Errorf("read %d events at first and %d after twenty more", first, last)
	}
}
