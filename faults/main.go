// Command faults runs the program as it is, several nodes of it, breaks everything that can break while hundreds of clients
// use it, and judges afterwards, by the log and by what each client was told, whether it did what it promises.
//
//	go run . -for 45s -seed 7
//
// What is broken when, and what users try, follow from the seed. The last line on stdout is the outcome.
//
// With -plants it makes mistakes in the program instead, and with -guards it takes out what keeps attackers off: both show
// that what judges can judge.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/orderlog/orderlog/faults/nemesis"
	"github.com/orderlog/orderlog/faults/plant"
)

// Exit codes.
const (
	sound  = 0
	broken = 1 // something was not as promised, or could not be judged
	misuse = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who asks once more is not made to wait
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are what a run is asked for.
type options struct {
	span    time.Duration
	seed    uint64
	nodes   int
	clients int
	rate    float64
	faults  []string // kinds
	report  string   // a file; empty: none
	keep    string   // a folder; empty: one that is removed when nothing was wrong
	log     string   // what the nodes log, as LOG_LEVEL has it
	loud    bool
	plant   plant.Plant    // a mistake that the program is to make; the zero value is none
	plants  bool           // all of them, one after another
	guards  *regexp.Regexp // of threats whose guards are taken out; nil: none
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(stderr, "faults:", err)
		}
		return misuse
	}
	if o.plants {
		return o.runPlants(ctx, stdout, stderr)
	}
	if o.guards != nil {
		return o.runGuards(ctx, stdout, stderr)
	}
	r, err := o.run(ctx, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "faults: this run could not be judged:", err)
		return broken
	}
	for _, v := range r.violations {
		fmt.Fprintf(stderr, "VIOLATION %s: %s\n", v.Rule, v.Text)
	}
	fmt.Fprintln(stdout, r.line())
	if r.broken > 0 {
		return broken
	}
	return sound
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("faults", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.DurationVar(&o.span, "for", 45*time.Second, "how long things are broken")
	f.Uint64Var(&o.seed, "seed", 1, "what decides what is broken when, and what users try")
	f.IntVar(&o.nodes, "nodes", 3, "how many `nodes` there are")
	f.IntVar(&o.clients, "clients", 200, "how many clients listen")
	f.Float64Var(&o.rate, "rate", 60, "how many commands a second are tried")
	kinds := f.String("faults", "all", "what is broken: all, none, or some of "+strings.Join(nemesis.Kinds(), ","))
	f.StringVar(&o.report, "report", "", "a `file` for a longer report, in Markdown")
	f.StringVar(&o.keep, "keep", "", "a `folder` for logs and what clients saw, which stays; without it they stay when something was wrong")
	f.StringVar(&o.log, "log", "info", "what the nodes log: debug, info, warn or error")
	planted := f.String("plant", "", "a mistake that the program is to make, which is to be found: "+strings.Join(plant.Names(), ", "))
	f.BoolVar(&o.plants, "plants", false, "make all mistakes, one after another, each with the faults that it takes, and say which rule finds it")
	threats := f.String("guards", "", "a `regexp` of threats in docs/security.md whose guards are taken out, one after another, to see that their tests fail")
	f.BoolVar(&o.loud, "v", false, "say what is planned, and what is under way")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var known bool
	if o.plant, known = plant.Find(*planted); !known && *planted != "" {
		return o, fmt.Errorf("there is no plant %q; there are %s", *planted, strings.Join(plant.Names(), ", "))
	}
	if *threats != "" {
		if o.guards, err = regexp.Compile(*threats); err != nil {
			return o, fmt.Errorf("-guards: %w", err)
		}
	}
	switch *kinds {
	case "all":
		o.faults = nemesis.Kinds()
	case "none":
	default:
		o.faults = strings.Split(*kinds, ",")
	}
	for _, k := range o.faults {
		if !slices.Contains(nemesis.Kinds(), k) {
			return o, fmt.Errorf("there is no fault %q; there are %s", k, strings.Join(nemesis.Kinds(), ", "))
		}
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("%q is not a flag", f.Arg(0))
	case o.span < time.Second:
		return o, errors.New("-for is a time such as 45s, a second at least")
	case o.keep != "" && !empty(o.keep):
		return o, fmt.Errorf("-keep %s: there is something in it, which this run's would be mixed with", o.keep)
	case o.nodes < 1 || o.clients < 1 || o.rate <= 0:
		return o, errors.New("-nodes, -clients and -rate are more than 0")
	}
	return o, nil
}

// empty says whether there is nothing in a folder, or no folder.
func empty(dir string) bool {
	inside, err := os.ReadDir(dir)
	return errors.Is(err, os.ErrNotExist) || err == nil && len(inside) == 0
}
