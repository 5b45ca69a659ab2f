package main

import (
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// columns is how wide a terminal is; 0: w is none, or does not say.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress is a bar on a terminal, with how much is done, how fast, and how long the rest takes. Where there is no
// terminal it shows nothing. It is not safe for concurrent use.
type progress struct {
	bar      *progressbar.ProgressBar // nil: none
	from, to int64
	next     int64 // at how much the bar is looked at again
}

// barStep is how often a bar is told of what is done: what is counted may go by at a million a second.
const barStep = 1024

// newProgress shows the way from one number to another. Who has it ends it before anything else is written to w.
func newProgress(w io.Writer, what string, from, to int64, things string) *progress {
	p := &progress{from: from, to: to, next: from}
	if !isTerminal(w) || to <= from {
		return p
	}
	p.bar = progressbar.NewOptions64(
		to-from,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetItsString(things),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionFullWidth(),
		progressbar.OptionSetTheme(progressbar.ThemeASCII),
	)
	return p
}

// at moves the bar to a number.
func (p *progress) at(n int64) {
	if p.bar == nil || n < p.next {
		return
	}
	p.next = n + barStep
	// The last step is left out: end alone takes the bar away.
	_ = p.bar.Set64(min(n, p.to-1) - p.from)
}

// reaches says that the way is longer than was thought.
func (p *progress) reaches(to int64) {
	if p.bar == nil || to <= p.to {
		return
	}
	p.to = to
	p.bar.ChangeMax64(to - p.from)
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar == nil {
		return
	}
	_ = p.bar.Clear()
	_ = p.bar.Exit()
	p.bar = nil
}

// printable is text on one line, without anything that would steer a terminal or turn the order of what is read.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
