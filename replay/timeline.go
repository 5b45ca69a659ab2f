package replay

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
)

const (
	defaultWidth = 100
	leastWidth   = 60
	dayFormat    = "2006-01-02"
	timeFormat   = "15:04:05.000"
)

// TimelineOptions say how a timeline looks.
type TimelineOptions struct {
	// Width is how many columns there are. 0: 100. Below 60 it is 60.
	Width int
	// All shows each recorded place of a courier by itself, from which request each event came, and changes in full.
	All bool
}

// WriteTimeline writes entries for people to read in a terminal: seq, when (UTC), who, what, why, and what it changed if
// the entries say. Places of a courier that follow each other are one line, unless All. Characters that would drive the
// terminal are shown as a replacement.
func WriteTimeline(w io.Writer, h []Entry, opts TimelineOptions) error {
	if opts.Width == 0 {
		opts.Width = defaultWidth
	}
	t := timeline{w: bufio.NewWriter(w), all: opts.All, width: max(opts.Width, leastWidth)}
	t.measure(h)
	for len(h) > 0 {
		n := 1
		if !opts.All {
			n = max(1, places(h))
		}
		t.write(h[:n])
		h = h[n:]
	}
	return t.w.Flush()
}

// timeline writes lines of columns: seq, time, who, and the rest for what and why.
type timeline struct {
	w                *bufio.Writer // keeps its first error for Flush
	all              bool
	width            int
	seqWidth, indent int
	whoWidth         int
	day              string
}

func (t *timeline) measure(h []Entry) {
	for _, e := range h {
		t.seqWidth = max(t.seqWidth, len(strconv.FormatInt(e.Seq, 10)))
		t.whoWidth = max(t.whoWidth, uniseg.StringWidth(who(e.Actor)))
	}
	t.whoWidth = min(t.whoWidth, t.width/4)
	t.indent = t.seqWidth + 2 + len(timeFormat) + 2 + t.whoWidth + 2
}

// write writes an entry, or places that follow each other.
func (t *timeline) write(h []Entry) {
	e := h[0]
	if day := e.At.UTC().Format(dayFormat); day != t.day {
		if t.day != "" {
			t.line("")
		}
		t.line(day + " (UTC)")
		t.day = day
	}
	what := e.Summary
	if last := h[len(h)-1]; len(h) > 1 {
		what = fmt.Sprintf("%s: the last of %d places up to seq %d, at %s", last.Summary, len(h), last.Seq, last.At.UTC().Format(timeFormat))
	}
	if e.Unknown {
		what += " (this program does not know what it says)"
	}
	name := cut(who(e.Actor), t.whoWidth)
	start := fmt.Sprintf("%*d  %s  %s  ", t.seqWidth, e.Seq, e.At.UTC().Format(timeFormat), pad(name, t.whoWidth))
	t.text(start, what)
	if !strings.HasSuffix(what, e.Reason) { // which may be nothing, or said already
		t.text(t.margin(), "why: "+e.Reason)
	}
	for _, c := range e.Changes {
		t.change(c)
	}
	if t.all {
		t.text(t.margin(), request(e))
	}
}

func (t *timeline) margin() string { return strings.Repeat(" ", t.indent) }

// text writes words into the last column, in as many lines as they need.
func (t *timeline) text(start, words string) {
	if words == "" {
		return
	}
	for _, line := range wrap(printable(words), t.width-t.indent) {
		t.line(start + line)
		start = t.margin()
	}
}

func (t *timeline) change(c Change) {
	var s string
	switch {
	case c.From == nil:
		s = "+ " + c.Path + " " + string(c.To)
	case c.To == nil:
		s = "- " + c.Path + " " + string(c.From)
	default:
		s = "~ " + c.Path + " " + string(c.From) + " → " + string(c.To)
	}
	if t.all {
		t.text(t.margin(), s)
		return
	}
	t.line(t.margin() + cut(printable(s), t.width-t.indent))
}

func (t *timeline) line(s string) {
	_, _ = t.w.WriteString(strings.TrimRight(s, " ")) // Flush tells of an error
	_ = t.w.WriteByte('\n')
}

// places is how many places of one courier entries begin with, by one user on one day.
func places(h []Entry) int {
	located := courier.Located{}.EventType()
	for i, e := range h {
		if domain.TypeName(e.Type) != located || e.Unknown || e.Actor != h[0].Actor ||
			e.At.UTC().Format(dayFormat) != h[0].At.UTC().Format(dayFormat) {
			return i
		}
	}
	return len(h)
}

// ourselves is the user id of what the program does because of an event, by itself.
const ourselves = "orderlog"

// who is who caused an event.
func who(a Actor) string {
	switch {
	case a == Actor{UserID: ourselves, Role: string(domain.RoleSystem)}:
		return "system"
	case a.UserID == "":
		return "nobody named"
	case a.Role == "":
		return printable(a.UserID)
	}
	return printable(a.UserID + " (" + a.Role + ")")
}

// request is from which request an event came.
func request(e Entry) string {
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"correlation", e.CorrelationID}, {"causation", e.CausationID}, {"key", e.IdempotencyKey}, {"from", e.RemoteAddr},
	} {
		if p.value != "" {
			parts = append(parts, p.name+" "+p.value)
		}
	}
	return strings.Join(parts, ", ")
}

// printable replaces characters that would drive the terminal or hide the others.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r) || r == '\u200d': // the joiner makes one emoji of several
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-uniseg.StringWidth(s)))
}

// cut shortens a text to a width.
func cut(s string, width int) string {
	if uniseg.StringWidth(s) <= width {
		return s
	}
	head, _ := split(s, width-1)
	return head + "…"
}

// split divides a text after as many whole characters as a width has room for, one at least.
func split(s string, width int) (head, rest string) {
	used, taken := 0, 0
	for g := uniseg.NewGraphemes(s); g.Next(); {
		if used += g.Width(); used > width && taken > 0 {
			break
		}
		_, taken = g.Positions()
	}
	return s[:taken], s[taken:]
}

// wrap divides a text into lines of a width, between words where it can.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		switch joined := line + " " + word; {
		case line == "":
			line = word
		case uniseg.StringWidth(joined) <= width:
			line = joined
		default:
			lines = append(lines, line)
			line = word
		}
		for uniseg.StringWidth(line) > width {
			head, rest := split(line, width)
			lines = append(lines, head)
			line = rest
		}
	}
	if line != "" || lines == nil {
		lines = append(lines, line)
	}
	return lines
}
