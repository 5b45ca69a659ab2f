package delivery

import (
	"slices"
	"strings"

	"github.com/orderlog/orderlog/projections"
)

// dropSuperseded leaves out of a page, in place, the places of an order that a later frame of the same page replaces:
// whoever catches up needs only the newest. The later frame is carried by each of the subscription's channels that carry
// the earlier one, so whatever channels are left before it is handed out, it takes the earlier one's place. A frame that
// does not name its order's channel stays.
func dropSuperseded(frames []*Frame, set channelSet) []*Frame {
	var newest map[string]*Frame // by the channel of the order
	dropped := 0
	for i := len(frames) - 1; i >= 0; i-- {
		f := frames[i]
		if f.Event != projections.EventDeliveryLocation {
			continue
		}
		order := orderChannel(f)
		switch later := newest[order]; {
		case order == "":
		case later != nil && replaces(later, f, set):
			frames[i] = nil
			dropped++
		default:
			if newest == nil {
				newest = map[string]*Frame{}
			}
			newest[order] = f
		}
	}
	if dropped == 0 {
		return frames
	}
	kept := frames[:0]
	for _, f := range frames {
		if f != nil {
			kept = append(kept, f)
		}
	}
	clear(frames[len(kept):])
	return kept
}

func orderChannel(f *Frame) string {
	for _, c := range f.Channels {
		if strings.HasPrefix(c, "order:") {
			return c
		}
	}
	return ""
}

// replaces says that a later frame is carried by every channel of the set that carries an earlier one.
func replaces(later, earlier *Frame, set channelSet) bool {
	for _, c := range earlier.Channels {
		if from, in := set[c]; in && earlier.Seq > from && !slices.Contains(later.Channels, c) {
			return false
		}
	}
	return true
}
