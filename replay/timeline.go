package replay

import "io"

// TimelineOptions say how a timeline looks.
type TimelineOptions struct {
	// Width is how many columns there are. 0: 100. Below 60 it is 60.
	Width int
	// All shows each recorded place of a courier by itself, and from which request each event came.
	All bool
}

// WriteTimeline writes entries for people to read in a terminal: when, who, what, why. Places of a courier that follow
// each other are one line, unless All.
func WriteTimeline(w io.Writer, h []Entry, opts TimelineOptions) error { panic("not implemented") }
