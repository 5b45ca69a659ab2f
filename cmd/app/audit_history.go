package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/replay"
)

var auditHistory = subcommand{
	usage: "audit history ORDER [--at TIME | --seq N] [--diff] [--all] [--json]",
	help: `
Everything that happened to an order, its payments and its delivery, in the order of the log: what, when, by whom and why.
ORDER is its id, or its number such as ORD-000123.

  --at TIME   the order as it stood at a time, such as 2026-11-23T18:30:00Z
  --seq N     the order as it stood after the event with this seq
  --diff      also what each event changed
  --all       each place of the courier by itself, and from which request each event came
  --json      as JSON, as the API answers it
`,
	run: history,
}

func history(ctx context.Context, env environment, c subcommand, args []string) (err error) {
	var (
		moment          replay.Moment
		diff, all, asIs bool
	)
	flags := flag.NewFlagSet("history", flag.ContinueOnError)
	flags.Func("at", "", timeFlag(&moment.At))
	flags.Func("seq", "", seqFlag(&moment.Seq))
	flags.BoolVar(&diff, "diff", false, "")
	flags.BoolVar(&all, "all", false, "")
	flags.BoolVar(&asIs, "json", false, "")
	words, err := c.parse(flags, args, 1)
	if err != nil {
		return err
	}
	if err := c.checkOrder(words[0]); err != nil {
		return err
	}
	then := moment != replay.Moment{}
	switch {
	case moment.Seq > 0 && !moment.At.IsZero():
		return c.wrong("--at and --seq are two moments: give one")
	case then && (diff || all):
		return c.wrong("--diff and --all are of the whole history, not of a moment")
	}

	t, err := openTools(ctx, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	if err := t.catchUp(ctx, env.stderr); err != nil {
		return inWords(err)
	}
	id, err := t.order(ctx, words[0])
	if err != nil {
		return err
	}
	if then {
		state, err := t.log.State(ctx, id, moment)
		if err != nil {
			return missing(err)
		}
		if asIs {
			return writeJSON(env.stdout, state)
		}
		return replay.WriteState(env.stdout, state)
	}
	whole, err := t.history(ctx, id, diff)
	if err != nil {
		return missing(err)
	}
	if asIs {
		return writeJSON(env.stdout, whole)
	}
	return replay.WriteTimeline(env.stdout, whole.Items, replay.TimelineOptions{Width: columns(env.stdout), All: all})
}

// wholeHistory is a page of GET /audit/orders/{id} that holds all.
type wholeHistory struct {
	OrderID uuid.UUID      `json:"orderId"`
	Log     uuid.UUID      `json:"log"`
	Items   []replay.Entry `json:"items"`
	Next    *string        `json:"next"`
}

// history reads all of an order's, as it was when the first page was read.
func (t *tools) history(ctx context.Context, id uuid.UUID, changes bool) (wholeHistory, error) {
	whole := wholeHistory{OrderID: id}
	q := replay.HistoryQuery{OrderID: id, Changes: changes}
	for {
		page, err := t.log.History(ctx, q)
		if err != nil {
			return whole, err
		}
		whole.Log, whole.Items = page.LogID, append(whole.Items, page.Entries...)
		if page.Next == 0 {
			return whole, nil
		}
		if q.After = page.Next; q.To == 0 {
			q.To = page.Seq
		}
	}
}

// missing says where else to look for what is not there.
func missing(err error) error {
	if domain.CodeOf(err) == domain.CodeNotFound {
		return fmt.Errorf("%w; if it should be there, see whether DATABASE_URL or DATA_DIR is the one that is meant", inWords(err))
	}
	return inWords(err)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
