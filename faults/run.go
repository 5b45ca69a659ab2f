package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/faults/check"
	"github.com/orderlog/orderlog/faults/cluster"
	"github.com/orderlog/orderlog/faults/crowd"
	"github.com/orderlog/orderlog/faults/history"
	"github.com/orderlog/orderlog/faults/nemesis"
	"github.com/orderlog/orderlog/faults/soak"
	"github.com/orderlog/orderlog/internal/auth"
)

const (
	module       = ".." // the folder of the program's sources
	readyAtMost  = 2 * time.Minute
	healAtMost   = 3 * time.Minute
	restAtMost   = 2 * time.Minute // until all that follows from the last command is done
	toldAtMost   = 2 * time.Minute // until every client was told of the last event
	judgeAtMost  = 10 * time.Minute
	stopAtMost   = 3 * time.Minute // until what was asked for last is answered
	lookEvery    = 200 * time.Millisecond
	sampleEvery  = 5 * time.Second
	sampleAtMost = time.Hour
)

// attempt is one run under way.
type attempt struct {
	options
	dir     string
	out     io.Writer
	cluster *cluster.Cluster
	crowd   *crowd.Crowd
	history *history.History
	watches []*soak.Watch
	result  result
}

// run does all of it. An error is of the suite, and there is no outcome then.
func (o options) run(ctx context.Context, out io.Writer) (_ result, err error) {
	a := &attempt{options: o, out: out, history: history.New(o.seed)}
	if a.dir, err = o.folder(); err != nil {
		return result{}, err
	}
	defer func() {
		if kept := a.putAway(err != nil || a.result.broken > 0); kept != nil {
			err = errors.Join(err, kept)
		}
	}()
	if err := a.begin(ctx); err != nil {
		return result{}, errors.Join(err, a.end())
	}
	err = errors.Join(a.act(ctx), a.end())
	if err == nil && o.report != "" {
		err = os.WriteFile(o.report, []byte(a.result.markdown(a)), 0o644) //nolint:gosec // a report
	}
	return a.result, err
}

func (o options) folder() (string, error) {
	if o.keep == "" {
		return os.MkdirTemp("", "orderlog-faults-run-")
	}
	dir, err := filepath.Abs(o.keep)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755) //nolint:gosec // logs
}

func (a *attempt) say(format string, args ...any) {
	if a.loud {
		fmt.Fprintf(a.out, "%8.2fs "+format+"\n", append([]any{a.history.Now().Seconds()}, args...)...)
	}
}

// begin brings all up, and the crowd in.
func (a *attempt) begin(ctx context.Context) (err error) {
	a.say("building the program")
	if a.cluster, err = cluster.Start(ctx, cluster.Config{
		Module: module, Dir: a.dir, Nodes: a.nodes, Span: a.span, Patches: a.plant.Patches, Environ: []string{"LOG_LEVEL=" + a.log},
	}); err != nil {
		return err
	}
	a.say("starting")
	starting, cancel := context.WithTimeout(ctx, readyAtMost)
	defer cancel()
	if err := a.cluster.AwaitReady(starting); err != nil {
		return err
	}
	var urls []string
	for n := range a.cluster.Nodes() {
		urls = append(urls, a.cluster.URL(n))
		a.watches = append(a.watches, soak.New(soak.Target{
			Name: fmt.Sprintf("node %d", n), MetricsURL: a.cluster.Direct(n) + "/metrics", PID: func() int { return a.cluster.PID(n) }, Every: sampleEvery,
		}))
	}
	a.crowd = crowd.New(crowd.Config{
		URLs: urls, Clients: a.clients, Rate: a.rate, Seed: a.seed, History: a.history,
		Sign: auth.Config{Secret: a.cluster.Secret()}.Sign, WebhookSecret: a.cluster.Secret(),
	})
	return a.crowd.Begin(ctx)
}

// act breaks things, lets all come to rest, and judges.
func (a *attempt) act(ctx context.Context) error {
	if err := a.breakThings(ctx); err != nil {
		return err
	}
	a.say("no more commands")
	stopping, cancelStopping := context.WithTimeout(ctx, a.atMost(stopAtMost))
	defer cancelStopping()
	if err := a.crowd.StopCommands(stopping); err != nil {
		a.result.violate("answered", "%v after the last of them, with nothing broken any more: %v", stopAtMost, err)
	}
	a.rest(ctx)
	ending, cancelEnding := context.WithTimeout(ctx, a.atMost(stopAtMost))
	defer cancelEnding()
	last, err := a.crowd.LastWord(ending)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil: // without a last event it cannot be said who was told of everything
		a.crowd.Close()
		a.result.violate("answered", "%v, with nothing broken any more: %v", stopAtMost, err)
		a.result.take(a, check.Result{})
		return nil
	}
	a.say("all are to be told of event %d", last)
	telling, cancel := context.WithTimeout(ctx, a.atMost(toldAtMost))
	defer cancel()
	if err := a.crowd.Await(telling, last); err != nil {
		a.result.violate("told", "%v after the last event, with nothing broken any more: %v", toldAtMost, err)
	}
	a.crowd.Close()
	a.rest(ctx)
	a.say("judging")
	judging, cancel := context.WithTimeout(ctx, judgeAtMost)
	defer cancel()
	found, err := check.Run(judging, a.history, a.cluster.DatabaseURL(), check.Options{
		Last: last, Program: a.cluster.Program(), Env: a.cluster.Environ(),
	})
	if err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	a.result.take(a, found)
	return ctx.Err()
}

// breakThings lasts as long as was asked for, and ends with nothing broken.
func (a *attempt) breakThings(ctx context.Context) error {
	var sampling sync.WaitGroup
	samples, enough := context.WithTimeout(ctx, sampleAtMost)
	defer sampling.Wait()
	defer enough()
	if len(a.faults) == 0 {
		for _, w := range a.watches {
			sampling.Go(func() { _ = w.Run(samples) })
		}
	}
	plan := nemesis.Plan(a.seed, a.span, a.nodes, a.faults)
	if why := a.cluster.CannotFill(); why != "" && slices.Contains(a.faults, "disk.full") {
		// After it was planned: a seed makes the same plan for every user, less what this one may not do.
		plan = slices.DeleteFunc(plan, func(f nemesis.Fault) bool { return f.Kind == "disk.full" })
		a.faults = slices.DeleteFunc(slices.Clone(a.faults), func(k string) bool { return k == "disk.full" })
		a.result.impossible = append(a.result.impossible, "disk.full: "+why)
	}
	for _, f := range plan {
		a.say("planned: %s", f)
	}
	a.result.began = a.history.Now()
	over := time.After(a.span)
	if err := nemesis.Run(ctx, a.cluster, plan, a.history); err != nil {
		return err
	}
	select {
	case <-over:
	case <-ctx.Done():
		return ctx.Err()
	}
	a.result.ended = a.history.Now()
	a.say("all is mended")
	healing, cancel := context.WithTimeout(ctx, healAtMost)
	defer cancel()
	if err := a.cluster.Heal(healing); err != nil {
		return err
	}
	if err := a.cluster.AwaitReady(healing); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.result.violate("ready", "%v after everything was mended: %v", healAtMost, err)
	}
	return nil
}

// rest waits until the projections have everything that is in the log, and no reaction adds to it.
func (a *attempt) rest(ctx context.Context) {
	a.say("coming to rest")
	ctx, cancel := context.WithTimeout(ctx, a.atMost(restAtMost))
	defer cancel()
	var err error
	for before := int64(-1); ; {
		var head, behind int64
		if head, behind, err = a.lag(ctx); err == nil && behind == 0 && head == before {
			return
		}
		before = head
		t := time.NewTimer(lookEvery)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			a.result.violate("rest", "%v after the last command a projection is %d events behind the head at %d (%v)", restAtMost, behind, head, err)
			return
		}
	}
}

func (a *attempt) lag(ctx context.Context) (head, behind int64, err error) {
	conn, err := pgx.Connect(ctx, a.cluster.DatabaseURL())
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, `SELECT h.seq, h.seq - min(c.position) FROM log_head h, checkpoints c GROUP BY h.seq`).Scan(&head, &behind)
	return head, behind, err
}

// end takes all down. It may be called at any time.
func (a *attempt) end() error {
	if a.crowd != nil {
		a.crowd.Close()
	}
	if a.cluster == nil {
		return nil
	}
	return a.cluster.Close()
}

// putAway keeps what is needed to find out what was wrong, or removes all.
func (a *attempt) putAway(wrong bool) error {
	if !wrong && a.keep == "" {
		return os.RemoveAll(a.dir)
	}
	fmt.Fprintln(a.out, "faults: logs, what clients saw and a report are in", a.dir)
	return errors.Join(
		writeHistory(filepath.Join(a.dir, "history.jsonl"), a.history),
		os.WriteFile(filepath.Join(a.dir, "report.md"), []byte(a.result.markdown(a)), 0o600),
	)
}
