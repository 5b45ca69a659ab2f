package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/replay"
)

var auditExport = subcommand{
	usage: "audit export [--from N] [--to N] [--type T] [--stream S] [--actor U] [--since T] [--until T] [--format ndjson|csv]",
	help: `
The events that all of these select, in the order of the log, one a line. As ndjson a line is the event's canonical JSON,
which is what the proofs are made of.

  --from N       from this seq on
  --to N         up to and including this seq
  --type T       of this type, such as order.placed; several with commas, or the flag again
  --stream S     of a stream, such as order/UUID, or of all streams with an id
  --actor U      caused by this user
  --since T      recorded at this time or later, such as 2026-11-23T18:30:00Z or 2026-11-23
  --until T      recorded before this time
  --format F     ndjson (the default), or csv for spreadsheets
`,
	run: export,
}

// exportBuffer is how much is written at once: enough that the write's own cost does not show.
const exportBuffer = 256 << 10

func export(ctx context.Context, env environment, c subcommand, args []string) (err error) {
	var (
		q        replay.Query
		from, to int64
	)
	flags := flag.NewFlagSet("export", flag.ContinueOnError)
	flags.Func("from", "", seqFlag(&from))
	flags.Func("to", "", seqFlag(&to))
	flags.Var(several(func(s string) error {
		before := len(q.Types)
		for name := range strings.SplitSeq(s, ",") {
			if name = strings.TrimSpace(name); name != "" {
				q.Types = append(q.Types, name)
			}
		}
		if len(q.Types) == before {
			return errEmptyFlag
		}
		return nil
	}), "type", "")
	flags.StringVar(&q.Stream, "stream", "", "")
	flags.StringVar(&q.Actor, "actor", "", "")
	flags.Func("since", "", timeFlag(&q.Since))
	flags.Func("until", "", timeFlag(&q.Until))
	format := flags.String("format", "ndjson", "")
	if _, err := c.parse(flags, args, 0); err != nil {
		return err
	}
	switch {
	case *format != "ndjson" && *format != "csv":
		return c.wrong("--format is ndjson or csv")
	case to > 0 && to < from:
		return c.wrong("--to is %d, before --from %d", to, from)
	}
	q.After, q.To = max(from-1, 0), to

	t, err := openTools(ctx, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	if err := t.catchUp(ctx, env.stderr); err != nil {
		return inWords(err)
	}
	stdout := &patientWriter{ctx: ctx, w: env.stdout}
	var out eventWriter = &ndjson{w: bufio.NewWriterSize(stdout, exportBuffer)}
	if *format == "csv" {
		buffer := bufio.NewWriterSize(stdout, exportBuffer)
		out = spreadsheet{replay.NewCSV(buffer), buffer}
	}
	return t.export(ctx, env.stderr, c, q, out)
}

// eventWriter writes events in some format through a buffer.
type eventWriter interface {
	Write(e eventstore.Recorded) error
	Flush() error
}

// export writes what q selects. What it wrote is whole lines also when it ends before all is written.
func (t *tools) export(ctx context.Context, stderr io.Writer, c subcommand, q replay.Query, out eventWriter) error {
	after, upTo, err := t.log.Range(ctx, q)
	if domain.CodeOf(err) == domain.CodeInvalidRequest {
		return c.wrong("%v", inWords(err))
	}
	if err != nil {
		return inWords(err)
	}
	bar := newProgress(stderr, "exporting", after, upTo, "events")
	defer bar.end()
	last := after
	err = t.log.Each(ctx, q, func(e eventstore.Recorded) error {
		if err := out.Write(e); err != nil {
			return &outputError{err}
		}
		last = e.Seq
		bar.at(last)
		return ctx.Err()
	})
	if wrote := out.Flush(); wrote != nil {
		return &outputError{wrote}
	}
	bar.end()
	return interrupted(ctx, inWords(err), last)
}

// interrupted says how to go on after what ended before its end, for whatever reason but a closed output.
func interrupted(ctx context.Context, err error, last int64) error {
	var output *outputError
	switch {
	case err == nil || errors.As(err, &output):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("stopped after seq %d: go on with --from %d", last, last+1)
	}
	return fmt.Errorf("%w; what was written is whole up to seq %d: go on with --from %d", err, last, last+1)
}

// outputError is a failure to write, after which nobody knows how much of it arrived.
type outputError struct{ cause error }

func (e *outputError) Error() string {
	if errors.Is(e.cause, syscall.EPIPE) {
		return errOutputClosed.Error()
	}
	return fmt.Sprintf("the output cannot be written: %v", e.cause)
}

func (e *outputError) Unwrap() error { return e.cause }

// writePatience is how long after a signal a write may still take: enough for a reader that reads.
const writePatience = time.Second

var errUnread = errors.New("stopped, and nobody reads it")

// patientWriter writes as long as ctx goes on, and then gives up on what nobody takes. A deadline would not do: an
// inherited pipe or terminal has none unless it is made non-blocking, for all that share it. A write that was given up
// on stays in its goroutine until the process ends or somebody reads after all; there is at most one.
type patientWriter struct {
	ctx    context.Context //nolint:containedctx // io.Writer has no place for it
	w      io.Writer
	own    []byte // what is being written: the caller may reuse its bytes after a write that was given up on
	gaveUp bool
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if p.gaveUp {
		return 0, errUnread
	}
	type outcome struct {
		n   int
		err error
	}
	p.own = append(p.own[:0], b...)
	wrote := make(chan outcome, 1)
	go func() {
		n, err := p.w.Write(p.own)
		wrote <- outcome{n, err}
	}()
	select {
	case o := <-wrote:
		return o.n, o.err
	case <-p.ctx.Done():
	}
	select {
	case o := <-wrote:
		return o.n, o.err
	case <-time.After(writePatience):
		p.gaveUp = true
		return 0, errUnread
	}
}

type ndjson struct {
	w    *bufio.Writer
	line []byte
}

func (n *ndjson) Write(e eventstore.Recorded) error {
	n.line = append(e.AppendCanonical(n.line[:0]), '\n')
	_, err := n.w.Write(n.line)
	return err
}

func (n *ndjson) Flush() error { return n.w.Flush() }

type spreadsheet struct {
	csv    *replay.CSV
	buffer *bufio.Writer
}

func (s spreadsheet) Write(e eventstore.Recorded) error { return s.csv.Write(e) }

func (s spreadsheet) Flush() error { return errors.Join(s.csv.Flush(), s.buffer.Flush()) }
