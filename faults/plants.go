package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/orderlog/orderlog/faults/plant"
)

// How long a run with a mistake lasts. Some show only when something is broken at the right moment.
const (
	plantSpan       = 10 * time.Second
	plantFaultsSpan = 30 * time.Second
	plantClients    = 60
)

// runPlants makes every mistake in turn and says what found it. It fails when one was not found by the rule that has to.
func (o options) runPlants(ctx context.Context, stdout, stderr io.Writer) int {
	outcome := sound
	fmt.Fprintln(stdout, "| Mistake | What the program does wrong | Found by | Run |\n|---|---|---|---:|")
	for _, p := range plant.All() {
		if o.plant.Name != "" && o.plant.Name != p.Name {
			continue
		}
		began := time.Now()
		dir, err := os.MkdirTemp("", "orderlog-faults-"+p.Name+"-")
		if err != nil {
			fmt.Fprintln(stderr, "faults:", err)
			return broken
		}
		r, err := o.with(p, dir).run(ctx, io.Discard)
		if ctx.Err() != nil {
			return broken
		}
		found := "**not** by " + p.Rule
		if err != nil {
			found = fmt.Sprintf("the run could not be judged: %v", err)
		}
		n := 0
		for _, v := range r.violations {
			if v.Rule == p.Rule {
				if n++; n == 1 {
					fmt.Fprintf(stderr, "%s: %s: %s\n", p.Name, v.Rule, v.Text)
				}
			}
		}
		if n > 0 {
			found = p.Rule
			_ = os.RemoveAll(dir)
		} else {
			outcome = broken
			fmt.Fprintf(stderr, "%s: logs and what clients saw are in %s\n", p.Name, dir)
		}
		fmt.Fprintf(stdout, "| %s | %s | %s | %.0f s |\n", p.Name, p.What, found, time.Since(began).Seconds())
	}
	return outcome
}

// with is a run with a mistake and with the faults that it takes.
func (o options) with(p plant.Plant, dir string) options {
	o.plant, o.faults, o.span, o.clients, o.keep = p, p.Faults, plantSpan, plantClients, dir
	if len(p.Faults) > 0 {
		o.span = plantFaultsSpan
	}
	return o
}

// atMost is how long something is waited for. A program with a mistake need not get there, and is found out all the same.
func (o options) atMost(usual time.Duration) time.Duration {
	if o.plant.Name != "" {
		return min(usual, 20*time.Second)
	}
	return usual
}
