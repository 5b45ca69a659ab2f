package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

const (
	fewestRounds = 5 // that a figure is made of

	// No benchmark may keep the others from being run. One that is run by name only has more to do.
	longest, longestByName = 5 * time.Minute, 30 * time.Minute
)

// suite runs benchmarks one after the other, whatever became of those before, and keeps what they came to.
type suite struct {
	out io.Writer
	// provide calls f with the database that a benchmark asks for.
	provide func(ctx context.Context, b benchmark, f func(url string) error) error

	figures []figure
	void    []failure
}

// failure is a benchmark that came to nothing, and why.
type failure struct {
	name string
	err  error
}

// run returns an error when one of the benchmarks can't be trusted.
func (s *suite) run(ctx context.Context, chosen []benchmark) error {
	for _, b := range chosen {
		fmt.Fprintf(s.out, "\n== %s: %s\n", b.name, b.what)
		began := time.Now()
		figures, err := s.measure(ctx, b)
		if err != nil {
			s.void = append(s.void, failure{b.name, err})
			fmt.Fprintf(s.out, "VOID name=%s: %v\n", b.name, err)
			continue
		}
		for _, f := range figures {
			fmt.Fprintln(s.out, f)
		}
		s.figures = append(s.figures, figures...)
		fmt.Fprintf(s.out, "(%s took %s)\n", b.name, time.Since(began).Round(time.Second))
	}
	if len(s.void) == 0 {
		return nil
	}
	names := make([]string, len(s.void))
	for i, v := range s.void {
		names[i] = v.name
	}
	return fmt.Errorf("void: %s", strings.Join(names, ", "))
}

// measure returns the figures of a benchmark. There are none when it fails, and they are not printed before it has
// ended: its last check may be the one that finds something.
func (s *suite) measure(ctx context.Context, b benchmark) ([]figure, error) {
	limit := longest
	if b.byName {
		limit = longestByName
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", limit))
	defer cancel()
	log := &runLog{Writer: s.out}
	err := s.provide(ctx, b, func(url string) error { return b.run(ctx, log, url) })
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return nil, err
	}
	for _, f := range log.figures {
		if err := f.check(); err != nil {
			return nil, err
		}
	}
	return log.figures, nil
}

// runLog is where a benchmark prints to. It keeps the figures back.
type runLog struct {
	io.Writer
	figures []figure
}

// figure is what a benchmark measures, in rounds, and what it is to come to.
type figure struct {
	name, peer string
	ratios     ratios
	target     float64
	atMost     bool // the target is the most, not the least
}

// String is the line for scripts.
func (f figure) String() string {
	return fmt.Sprintf("RESULT name=%s peer=%s ratio=%.2f spread=%s target=%g %s", f.name, f.peer, f.ratios.median(), f.ratios.spread(), f.target, f.verdict())
}

func (f figure) verdict() string {
	m := f.ratios.median()
	if (f.atMost && m <= f.target) || (!f.atMost && m >= f.target) {
		return "ok"
	}
	return "short"
}

// check refuses what is no figure.
func (f figure) check() error {
	if fewer == 0 && len(f.ratios) < fewestRounds {
		return fmt.Errorf("%s is of %d rounds only", f.name, len(f.ratios))
	}
	if slices.ContainsFunc(f.ratios, func(r float64) bool { return math.IsNaN(r) || math.IsInf(r, 0) || r < 0 }) {
		return fmt.Errorf("%s is not a number in each round: %v", f.name, []float64(f.ratios))
	}
	return nil
}

// result has a figure among those of a benchmark. With atMost it must not be above the target, else not below it.
func result(out io.Writer, name, peer string, r ratios, target float64, atMost bool) {
	f := figure{name, peer, r, target, atMost}
	if log, ok := out.(*runLog); ok {
		log.figures = append(log.figures, f)
		return
	}
	fmt.Fprintln(out, f)
}

// table has a line for every figure and for every benchmark that is void, in Markdown.
func (s *suite) table() string {
	rows := [][]string{{"figure", "beside", "ratio", "spread", "target", ""}, nil}
	for _, f := range s.figures {
		least := "≥"
		if f.atMost {
			least = "≤"
		}
		rows = append(rows, []string{
			f.name, f.peer, fmt.Sprintf("%.2f", f.ratios.median()), f.ratios.spread(), fmt.Sprintf("%s %g", least, f.target), f.verdict(),
		})
	}
	for _, v := range s.void {
		rows = append(rows, []string{v.name, "", "", "", "", "void"})
	}
	return markdown(rows)
}

// markdown writes rows below each other. The first is the head, the second is the line below it.
func markdown(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, width := range widths {
			if n == 1 {
				b.WriteString("|" + strings.Repeat("-", width+2))
				continue
			}
			b.WriteString("| " + row[i] + strings.Repeat(" ", width-len([]rune(row[i]))+1))
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// report is what a run came to, in a form to be kept.
func (s *suite) report(facts []fact) string {
	var b strings.Builder
	b.WriteString("\n== all figures\n\n")
	rows := [][]string{{"", ""}, nil}
	for _, f := range facts {
		rows = append(rows, []string{f.what, f.is})
	}
	b.WriteString(markdown(rows) + "\n" + s.table())
	if fewer > 0 {
		fmt.Fprintf(&b, "\nTried with %d rounds at most: no figures to be kept.\n", fewer)
	}
	for _, v := range s.void {
		fmt.Fprintf(&b, "\nvoid: %s: %v\n", v.name, v.err)
	}
	return b.String()
}
