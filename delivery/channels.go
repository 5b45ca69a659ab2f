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

func (c channelSet) from(seq int64) channelSet {
	next := make(channelSet, len(c))
	for channel := range c {
		next[channel] = seq
	}
	return next
}
