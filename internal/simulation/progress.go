package simulation

import (
	"context"
	"fmt"
	"io"
	"time"
)

// progress tells how far the evening is, until ctx ends. On a terminal, whose width is then not 0, it is one line that is
// written again and again.
func progress(ctx context.Context, out io.Writer, width int, say func(perSecond float64) string, events func() int64) {
	every := 5 * time.Second
	if width > 0 {
		every = 200 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	before, at := events(), time.Now()
	rate := 0.0
	for {
		select {
		case <-ctx.Done():
			if width > 0 {
				fmt.Fprint(out, clearLine)
			}
			return
		case now := <-tick.C:
			count := events()
			// A figure that changes five times a second cannot be read: it is one of the last second or so.
			latest := float64(count-before) / max(now.Sub(at).Seconds(), 1e-3)
			weight := min(every.Seconds(), 1)
			rate += (latest - rate) * weight
			before, at = count, now
			if line := []rune(say(rate)); width > 0 { // a line that is too long would not be rewritten as a whole
				fmt.Fprint(out, clearLine+string(line[:min(len(line), width-1)]))
			} else {
				fmt.Fprintln(out, string(line))
			}
		}
	}
}

// clearLine goes to the beginning of a terminal's line and empties it.
const clearLine = "\r\x1b[K"
