package delivery

import (
	"errors"
	"slices"

	"github.com/orderlog/orderlog/projections"
)

// ErrEnded says that the right to a channel was ended after it had been checked: check it again.
var ErrEnded = errors.New("the right to a channel was ended after it was checked")

// endings remembers the rights that were ended lately, so that one which was checked just before its end is not used
// behind it. The hub's lock guards it.
type endings struct {
	recent []datedEnding // the oldest first
	floor  int64         // what was ended up to here is forgotten; -1 before the hub knows where it begins
}

type datedEnding struct {
	seq int64
	projections.Ending
}

// maxEndings bounds what is remembered. Forgetting costs a check that is made again, and nothing else.
const maxEndings = 1024

func (e *endings) add(seq int64, ending projections.Ending) {
	if len(e.recent) == 2*maxEndings {
		e.floor = e.recent[maxEndings-1].seq
		e.recent = append(e.recent[:0], e.recent[maxEndings:]...)
	}
	e.recent = append(e.recent, datedEnding{seq, ending})
}

// since says that someone in the other channels may have lost the right to a channel after a seq.
func (e *endings) since(seq int64, channel string, others channelSet) bool {
	if seq < e.floor {
		return true
	}
	for i := len(e.recent) - 1; i >= 0 && e.recent[i].seq > seq; i-- {
		if ended := e.recent[i]; ended.Channel == channel && others.has(projections.ChannelUser(ended.User), projections.ChannelRole(ended.Role)) {
			return true
		}
	}
	return false
}

// endLocked takes out of their channels the subscriptions whose right a frame ends. It comes before the frame is
// offered: what tells of the loss is already not theirs. Only the tail's frames do this, and each once; whoever reads
// an old one again had its rights checked later.
func (h *Hub) endLocked(f *Frame) {
	for _, e := range f.Endings {
		h.endings.add(f.Seq, e)
		user, role := projections.ChannelUser(e.User), projections.ChannelRole(e.Role)
		for s := range h.channels[e.Channel].all {
			s.endRight(e.Channel, user, role)
		}
	}
}

// endRight takes the subscription out of a channel, if it also is in the others. The hub's lock is held.
func (s *Subscription) endRight(channel string, others ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.channels.has(channel) || !s.channels.has(others...) {
		return
	}
	s.leaveLocked(channel)
	if j, ok := s.joins[channel]; ok {
		j.ended = append(j.ended, j.unanswered)
		return
	}
	s.tellLeftLocked(channel)
}

func (s *Subscription) tellLeftLocked(channel string) {
	if !slices.Contains(s.left, channel) {
		s.left = append(s.left, channel)
	}
	s.Signal()
}

// End takes the subscription out of a channel that it has lost the right to, and has its consumer told so.
func (s *Subscription) End(channel string) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.endRight(channel)
}

// joins are a channel's joinings that the client was not answered yet.
type joins struct {
	unanswered int
	// ended has one for each time that the channel has ended meanwhile: how many answers come before it may be told.
	ended []int
}

// expectAnswerLocked keeps back that a channel has ended, so that it is not told before the answer to the joining.
func (s *Subscription) expectAnswerLocked(channel string) {
	if s.joins == nil {
		s.joins = map[string]*joins{}
	}
	j := s.joins[channel]
	if j == nil {
		j = &joins{}
		s.joins[channel] = j
	}
	j.unanswered++
}

// Answered says that the client was told how its joining of a channel went. Each Join that went well needs one, by
// the consumer, behind the answer: from then on the channel's end is told.
func (s *Subscription) Answered(channel string, joined bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.joins[channel]
	if !ok {
		return
	}
	if joined { // the end of an earlier stay would be taken for this one's
		s.left = slices.DeleteFunc(s.left, func(c string) bool { return c == channel })
	}
	for i := range j.ended {
		j.ended[i]--
	}
	if len(j.ended) > 0 && j.ended[0] == 0 {
		j.ended = j.ended[1:]
		s.tellLeftLocked(channel)
	}
	if j.unanswered--; j.unanswered == 0 {
		delete(s.joins, channel)
	}
}
