package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay/rebuild"
)

func projectionsCommands() []subcommand {
	return []subcommand{projectionsStatus, projectionsRebuild}
}

var projectionsStatus = subcommand{
	usage: "projections status [--json]",
	help: `
How far each group of projections is behind the log, in events and in time, its state (current, behind, standing, failing)
and what its last attempt failed with; then the rebuilds that are under way or were interrupted.

  --json   as JSON
`,
	run: status,
}

// groupStatus is a group as --json shows it.
type groupStatus struct {
	Group      string     `json:"group"`
	State      string     `json:"state"`
	Position   int64      `json:"position"`
	Head       int64      `json:"head"`
	LagEvents  int64      `json:"lagEvents"`
	LagSeconds float64    `json:"lagSeconds"`
	UpdatedAt  time.Time  `json:"updatedAt"`
	Failures   int        `json:"failures"`
	FailedSeq  int64      `json:"failedSeq,omitempty"`
	FailedAt   *time.Time `json:"failedAt,omitempty"`
	LastError  string     `json:"lastError,omitempty"`
}

func status(ctx context.Context, env environment, c subcommand, args []string) (err error) {
	flags := flag.NewFlagSet("status", flag.ContinueOnError)
	asIs := flags.Bool("json", false, "")
	if _, err := c.parse(flags, args, 0); err != nil {
		return err
	}
	t, err := openTools(ctx, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	lags, err := projections.Lags(ctx, t.pool)
	if err != nil {
		return err
	}
	rebuilds, err := rebuild.Pending(ctx, t.pool)
	if err != nil {
		return err
	}
	groups := make([]groupStatus, 0, len(lags))
	for _, l := range lags {
		g := groupStatus{
			Group: l.Group, State: l.State, Position: l.Position, Head: l.Head,
			LagEvents: max(l.Head-l.Position, 0), LagSeconds: l.Age.Seconds(), UpdatedAt: l.UpdatedAt,
			Failures: l.Failures, FailedSeq: l.FailedSeq, LastError: l.LastError,
		}
		if !l.FailedAt.IsZero() {
			g.FailedAt = &l.FailedAt
		}
		groups = append(groups, g)
	}
	if *asIs {
		if rebuilds == nil {
			rebuilds = []rebuild.Row{}
		}
		return writeJSON(env.stdout, map[string]any{"groups": groups, "rebuilds": rebuilds})
	}
	return writeStatus(env.stdout, groups, rebuilds)
}

func writeStatus(w io.Writer, groups []groupStatus, rebuilds []rebuild.Row) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "GROUP\tSTATE\tPOSITION\tBEHIND\tSECONDS\tLAST ERROR")
	head := int64(0)
	for _, g := range groups {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%.1f\t%s\n", g.Group, g.State, g.Position, g.LagEvents, g.LagSeconds, trouble(g))
		head = g.Head
	}
	fmt.Fprintf(table, "the log\t\t%d\n", head)
	if len(rebuilds) > 0 {
		fmt.Fprintln(table, "\nREBUILD\tSTATE\tPOSITION\tOF\tBEGUN")
	}
	for _, r := range rebuilds {
		state := "interrupted"
		if r.Running {
			state = "running"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\n", r.Name, state, r.Position, head, r.StartedAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return table.Flush()
}

// trouble is what a group's last attempt failed with, if it failed.
func trouble(g groupStatus) string {
	if g.Failures == 0 {
		return "-"
	}
	where := ""
	if g.FailedSeq > 0 {
		where = fmt.Sprintf(" at seq %d", g.FailedSeq)
	}
	return fmt.Sprintf("%s%s: %s", count(int64(g.Failures), "time"), where, printable(g.LastError))
}

var projectionsRebuild = subcommand{
	usage: "projections rebuild NAME [--dry-run] [--restart] [--json]",
	help: `
Derives a read model anew from the log, beside the live one and while the servers run, compares the two row for row, and
puts the new one in the live one's place. NAME is ` + readModelNames() + `,
views for all of these, or feed. What was interrupted goes on when it is run again. It ends with 0 when the new one is live.

  --dry-run   compare alone; it ends with 1 when something differs
  --restart   begin anew also where an interrupted rebuild could be gone on with
  --json      what it came to, as JSON
`,
	run: rebuildModel,
}

func readModelNames() string {
	var names []string
	for _, m := range projections.ReadModels() {
		names = append(names, m.Name)
	}
	return strings.Join(names, ", ")
}

func rebuildModel(ctx context.Context, env environment, c subcommand, args []string) (err error) {
	o := rebuild.Options{Program: version()}
	flags := flag.NewFlagSet("rebuild", flag.ContinueOnError)
	flags.BoolVar(&o.DryRun, "dry-run", false, "")
	flags.BoolVar(&o.Restart, "restart", false, "")
	asIs := flags.Bool("json", false, "")
	words, err := c.parse(flags, args, 1)
	if err != nil {
		return err
	}
	o.Name = words[0]
	models, err := rebuild.Choose(o.Name)
	if err != nil {
		return c.wrong("%v", inWords(err))
	}

	t, err := openTools(ctx, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	shown := &rebuildProgress{w: env.stderr}
	o.Logger, o.Progress = t.logger, shown.show
	result, err := rebuild.Run(ctx, t.db.url, models, o)
	shown.end()
	switch {
	case ctx.Err() != nil && err != nil:
		return fmt.Errorf("stopped; the live tables are as they were: run it again, and it goes on where it was")
	case errors.Is(err, rebuild.ErrRunning):
		return fmt.Errorf("%w: app projections status shows how far it is", err)
	case err != nil:
		return inWords(err)
	}
	if *asIs {
		err = writeJSON(env.stdout, result)
	} else {
		err = writeResult(env.stdout, result)
	}
	if err == nil && o.DryRun && result.Different > 0 {
		err = fmt.Errorf("%s not as the log says: run it without --dry-run to put that right", count(result.Different, "row"))
	}
	return err
}

// rebuildLine is how often a rebuild says how far it is where there is no terminal.
const rebuildLine = 5 * time.Second

// rebuildProgress shows how far a rebuild is: a bar a phase on a terminal, else a line now and then.
type rebuildProgress struct {
	w     io.Writer
	bar   *progress
	phase string
	said  time.Time
}

func (p *rebuildProgress) show(now rebuild.Progress) {
	begins := now.Phase != p.phase
	if begins && p.phase == "" && now.ContinuedFrom > 0 {
		fmt.Fprintf(p.w, "going on after seq %d\n", now.ContinuedFrom)
	}
	things := "events"
	if now.Phase == rebuild.PhaseComparing {
		things = "rows"
	}
	if isTerminal(p.w) {
		if begins {
			p.end()
		}
		if p.bar == nil && now.Total > now.Done { // how far there is to go may not be known at first
			p.bar = newProgress(p.w, now.Phase, now.Done, now.Total, things)
		}
		if p.bar != nil {
			p.bar.reaches(now.Total)
			p.bar.at(now.Done)
		}
	} else if begins || time.Since(p.said) >= rebuildLine {
		p.said = time.Now()
		fmt.Fprintf(p.w, "%s%s\n", now.Phase, way(now, things))
	}
	p.phase = now.Phase
}

// way is how far a phase is, how fast it goes and how long the rest takes, as far as these are known.
func way(now rebuild.Progress, things string) string {
	if now.Total == 0 && now.Done == 0 {
		return ""
	}
	text := fmt.Sprintf(": %d of %d %s", now.Done, max(now.Total, now.Done), things)
	if now.Rate > 0 {
		text += fmt.Sprintf(", %.0f a second", now.Rate)
	}
	if now.Left > 0 {
		text += ", " + now.Left.Round(time.Second).String() + " left"
	}
	return text
}

func (p *rebuildProgress) end() {
	if p.bar != nil {
		p.bar.end()
		p.bar = nil
	}
}

// shownDifferences is how many rows that differ are listed.
const shownDifferences = 10

func writeResult(w io.Writer, r rebuild.Result) error {
	out := &lines{w: w}
	rate := 0.0
	if seconds := r.Took.Seconds(); seconds > 0 {
		rate = float64(r.Events) / seconds
	}
	from := ""
	if r.ContinuedFrom > 0 {
		from = fmt.Sprintf(" after seq %d", r.ContinuedFrom)
	}
	out.printf("%s: %s%s in %.1f s, %.0f a second; compared at seq %d", r.Name, count(r.Events, "event"), from, r.Took.Seconds(), rate, r.Seq)
	for _, table := range slices.Sorted(maps.Keys(r.Rows)) {
		out.row("rows", "%d in %s", r.Rows[table], table)
	}
	if r.Different == 0 {
		out.row("differences", "none")
	} else {
		out.row("differences", "%s", count(r.Different, "row"))
	}
	for i, d := range r.Differences {
		if i == shownDifferences {
			break
		}
		out.printf("  %s %s", d.Table, d.Key)
		out.row("  live", "%s", row(d.Live))
		out.row("  rebuilt", "%s", row(d.Rebuilt))
	}
	if more := r.Different - shownDifferences; more > 0 {
		out.printf("  and %d more: --json lists up to 100", more)
	}
	if r.Swapped {
		out.printf("what was rebuilt is live")
	} else {
		out.printf("the live tables are as they were")
	}
	return out.err
}

func row(doc []byte) string {
	if len(doc) == 0 {
		return "(not there)"
	}
	return strings.TrimSpace(string(doc))
}
