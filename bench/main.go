// Command bench measures Orderlog beside what it is compared with: both on the same database, by the same
// load generator, in rounds taken in turn, so that what the machine does meanwhile hits both.
//
// Each figure that has a target is one line for scripts, printed when its benchmark has ended well:
//
//	RESULT name=append_64 peer=pg_insert ratio=2.71 spread=2.60..2.83 target=2.5 ok
//
// All of them are in a table at the end, with the machine and the versions. A benchmark that can't be trusted (an error,
// work that was not done, a peer that did not start) is void, and the others are run nevertheless; the exit code is 1
// then. A figure short of its target is said, and is not a failure of the run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// benchmark measures one thing.
type benchmark struct {
	name   string
	what   string
	run    func(ctx context.Context, out io.Writer, databaseURL string) error
	in     database
	needs  []need
	byName bool // it is not among those that are run when none is named
}

// database is what a benchmark is to be given.
type database string

const (
	noDatabase    database = "none"
	freshDatabase database = "fresh"   // migrated, and nothing in it
	filledLog     database = "million" // a million events in it
)

// Those that change nothing for those behind them come first; the last ones leave the disk busy.
var benchmarks = []benchmark{
	{
		name: "memory", in: noDatabase, run: benchMemory, needs: []need{peerCentrifuge},
		what: "resident memory of 10,000 idle WebSocket connections, beside centrifuge",
	},
	{
		name: "broadcast", in: noDatabase, run: benchBroadcast, needs: []need{peerCentrifuge, peerGorilla},
		what: "1,000 events to 1,000 WebSocket connections, beside centrifuge and a bare gorilla/websocket",
	},
	{
		name: "fanout", in: noDatabase, run: benchFanout, needs: []need{peerSocketIO},
		what: "200 messages to 1,000 Socket.IO connections over WebSocket, beside socket.io on Node",
	},
	{
		name: "targeted", in: noDatabase, run: benchTargeted, needs: []need{peerCentrifuge},
		what: "5,000 events a second, each to 3 of 5,000 WebSocket connections",
	},
	{
		name: "storm", in: freshDatabase, run: benchStorm, needs: []need{peerCentrifuge},
		what: "5,000 clients return at once, beside centrifuge; and from the database beside from memory",
	},
	{
		name: "latency", in: freshDatabase, run: benchLatency, needs: []need{theProgram},
		what: "append acknowledged to frame read by a client on loopback, at 1,000 events a second with 1,000 connections",
	},
	{
		name: "append", in: freshDatabase, run: benchAppend, needs: []need{peerEmmett, peerMessageDB},
		what: "durable single-event appends with expected version, beside single-row INSERTs, message-db and Emmett",
	},
	{
		name: "keepup", in: freshDatabase, run: benchKeepUp, needs: []need{theProgram},
		what: "the highest rate of appends at which every projection stays within a second, beside appends that nothing follows",
	},
	{
		name: "feed", in: filledLog, run: benchFeed,
		what: "the notification log derived anew from a million events, beside COPY of the events to the client",
	},
	{
		name: "age", in: filledLog, run: benchAge, needs: []need{theProgram},
		what: "appends and resumes at 5 million events in the log beside those at 50 thousand",
	},
	{
		name: "export", in: freshDatabase, run: benchExport, needs: []need{theProgram, psql}, byName: true,
		what: "export of a million events beside psql's \\copy, and their verification",
	},
	{
		name: "history", in: freshDatabase, run: benchHistory, byName: true,
		what: "the history of an order at 3 million events beside that at 10 thousand",
	},
	{
		name: "rebuild", in: freshDatabase, run: benchRebuild, needs: []need{theProgram}, byName: true,
		what: "the orders view derived anew from a million events while orders arrive",
	},
	{
		name: "scale", in: freshDatabase, run: benchScale, byName: true,
		what: "what a delivery and a registration cost with more connections and channels, and appends with a second node",
	},
	{
		name: "overload", in: freshDatabase, run: benchOverload, needs: []need{theProgram}, byName: true,
		what: "orders at 1, 2, 5 and 10 times what the program can take",
	},
}

// fewer is how many rounds are run at most, to try a benchmark; 0: all.
var fewer int

// rounds is how many rounds a benchmark runs that has so many.
func rounds(all int) int {
	if fewer > 0 {
		return min(fewer, all)
	}
	return all
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	name := flag.String("name", "", "run only these benchmarks, separated by commas")
	flag.IntVar(&fewer, "rounds", 0, "run at most so many rounds of those that ask, to try them; 0: all")
	fanoutServer := flag.Bool("fanout-server", false, "be the server of benchmarks that start it themselves")
	fanoutDatabase := flag.String("fanout-database", "", "have that server read this database; empty: it has its log in memory")
	var own profiles
	flag.StringVar(&own.processor, "cpuprofile", "", "write this program's CPU profile to a file")
	flag.StringVar(&own.memory, "memprofile", "", "write what this program allocated to a file")
	flag.StringVar(&serverProfiles.processor, "server-cpuprofile", "", "write the CPU profile of each of our servers to a file, with .1, .2, … behind its name")
	flag.StringVar(&serverProfiles.memory, "server-memprofile", "", "write what each of our servers allocated to a file, named in the same way")
	flag.Parse()
	stopProfile, err := own.start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if *fanoutServer {
		err = serveFanout(ctx, os.Stdout, *fanoutDatabase)
	} else {
		err = run(ctx, os.Stdout, *name)
	}
	stop()
	err = errors.Join(err, stopProfile())
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: this run can't be trusted:", err)
		os.Exit(1)
	}
}

// run measures what is named, in our order, or all that is not run by name only.
func run(ctx context.Context, out io.Writer, names string) error {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	if err := missing(ctx, chosen, exec.LookPath); err != nil {
		return err
	}
	if _, err := os.Stat("peers"); err != nil {
		return errors.New("the peers are not here: run it in the folder bench, as make bench does")
	}
	defer closeWorkshop()
	prepare(ctx, out, chosen)
	keeper := &keeper{out: out, later: chosen}
	defer keeper.close()
	s := &suite{out: out, provide: keeper.provide}
	err = s.run(ctx, chosen)
	fmt.Fprint(out, s.report(facts(context.WithoutCancel(ctx), keeper.version)))
	if names == "" {
		fmt.Fprintf(out, "\nRun by name only, since they take minutes each or are held against no target: %s\n", strings.Join(namesOf(benchmarks, true), ", "))
	}
	return err
}

func choose(names string) (chosen []benchmark, err error) {
	wanted := strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' })
	for _, name := range wanted {
		if !slices.ContainsFunc(benchmarks, func(b benchmark) bool { return b.name == name }) {
			return nil, fmt.Errorf("there is no benchmark %q, only %s", name,
				strings.Join(slices.Concat(namesOf(benchmarks, false), namesOf(benchmarks, true)), ", "))
		}
	}
	for _, b := range benchmarks {
		if slices.Contains(wanted, b.name) || len(wanted) == 0 && !b.byName {
			chosen = append(chosen, b)
		}
	}
	return chosen, nil
}

func namesOf(all []benchmark, byName bool) (names []string) {
	for _, b := range all {
		if b.byName == byName {
			names = append(names, b.name)
		}
	}
	return names
}

func machine() string {
	return fmt.Sprintf("%s/%s, %d cores, %s, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(),
		time.Now().UTC().Format("2006-01-02"))
}
