package delivery

import (
	"maps"
	"slices"
)

// channelSet maps each channel to the seq from which it counts: only frames after it are wanted for its sake.
type channelSet map[string]int64

func (c channelSet) wants(f *Frame) bool {
	for _, channel := range f.Channels {
		if from, ok := c[channel]; ok && f.Seq > from {
			return true
		}
	}
	return false
}

// has says that all of the channels are there.
func (c channelSet) has(channels ...string) bool {
	for _, channel := range channels {
		if _, ok := c[channel]; !ok {
			return false
		}
	}
	return true
}

// names returns the channels in an order that depends on nothing else.
func (c channelSet) names() []string { return slices.Sorted(maps.Keys(c)) }

func (c channelSet) with(channel string, from int64) channelSet {
	next := maps.Clone(c)
	if next == nil {
		next = channelSet{}
	}
	next[channel] = from
	return next
}

func (c channelSet) without(channel string) channelSet {
	next := maps.Clone(c)
	delete(next, channel)
	return next
}

// from lets the channels count from a seq on, unless they do so from a later one.
func (c channelSet) from(seq int64) channelSet {
	next := make(channelSet, len(c))
	for channel, from := range c {
		next[channel] = max(seq, from)
	}
	return next
}

// Join adds a channel and returns the seq after which its frames are handed out. A channel that is there already
// keeps the seq from which it counted, and again is true. The right to it must have been checked after checked was
// read from the hub's Position: ErrEnded if it was ended since, and nothing is joined. Otherwise Answered has to follow.
//
// since is the seq that gave the right, before which nothing of the channel is handed out; the log, which the right was
// checked against, may be ahead of the hub. 0: the right has no beginning.
func (s *Subscription) Join(channel string, checked, since int64) (from int64, again bool, _ error) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.cursor, false, nil
	}
	if s.hub.endings.since(checked, channel, s.channels) {
		return 0, false, ErrEnded
	}
	s.expectAnswerLocked(channel)
	if from, ok := s.channels[channel]; ok {
		return from, true, nil
	}
	// Nothing that is handed out or queued already can be amended, so the channel counts from behind it.
	from = max(s.settle(), s.hub.Position(), since)
	if !s.live && len(s.queue) > 0 {
		from = max(from, s.end)
	}
	s.channels = s.channels.with(channel, from)
	s.generation++ // a page that is being read now lacks the channel
	s.hub.attachLocked(s, channel)
	return from, false, nil
}

// Has says whether the subscription is in a channel now.
func (s *Subscription) Has(channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channels.has(channel)
}

// Channels is how many channels the subscription is in now.
func (s *Subscription) Channels() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.channels)
}

// Leave removes a channel: nothing is handed out for its sake afterwards, not even what is queued, nor that it ended.
func (s *Subscription) Leave(channel string) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = slices.DeleteFunc(s.left, func(c string) bool { return c == channel })
	if j, ok := s.joins[channel]; ok {
		j.ended = nil
	}
	s.leaveLocked(channel)
}

// Unjoin takes a joining back that was the first and is not answered yet. That an earlier stay ended is still told.
func (s *Subscription) Unjoin(channel string) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if j, ok := s.joins[channel]; ok {
		j.ended = slices.DeleteFunc(j.ended, func(behind int) bool { return behind == j.unanswered })
	}
	s.leaveLocked(channel)
}

// leaveLocked removes a channel. The hub's lock is held.
func (s *Subscription) leaveLocked(channel string) {
	if !s.channels.has(channel) {
		return
	}
	s.settle()
	s.channels = s.channels.without(channel)
	s.hub.detachLocked(s, channel)
	if s.live && len(s.queue) == 0 {
		return
	}
	// What was queued or is being read for the old channels is given up and read again after the cursor.
	s.fallBack()
}

func (h *Hub) attachLocked(s *Subscription, channel string) {
	h.channels[channel] = h.channels[channel].with(s)
}

func (h *Hub) detachLocked(s *Subscription, channel string) {
	if m := h.channels[channel].without(s); m.len() > 0 {
		h.channels[channel] = m
	} else {
		delete(h.channels, channel)
	}
}

// members are the subscriptions of a channel. Most channels have one, of a user or an order, and need no set for it.
type members struct {
	one  *Subscription
	more map[*Subscription]struct{} // all of them; nil: there is no more than one
}

func (m members) len() int {
	if m.more == nil && m.one != nil {
		return 1
	}
	return len(m.more)
}

// all is an iterator. The one that it is at may be taken out.
func (m members) all(yield func(*Subscription) bool) {
	if m.more == nil && m.one != nil {
		yield(m.one)
		return
	}
	for s := range m.more {
		if !yield(s) {
			return
		}
	}
}

func (m members) with(s *Subscription) members {
	switch {
	case m.more != nil:
		m.more[s] = struct{}{}
	case m.one == nil || m.one == s:
		m.one = s
	default:
		m.more = map[*Subscription]struct{}{m.one: {}, s: {}}
		m.one = nil
	}
	return m
}

func (m members) without(s *Subscription) members {
	delete(m.more, s)
	if m.one == s {
		m.one = nil
	}
	return m
}
