// Command bench measures Orderlog beside what it is compared with: both on the same database, by the same
// load generator, in rounds taken in turn, so that what the machine does meanwhile hits both.
//
// Each figure that has a target ends in one line for scripts:
//
//	RESULT name=append_64 peer=pg_insert ratio=2.71 spread=2.60..2.83 target=1.5 ok
//
// The exit code is 1 when a run could not be trusted: an error, or work that was not done. A figure short of
// its target is said, and is not a failure of the run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/orderlog/orderlog/internal/localpg"
	"github.com/orderlog/orderlog/migrations"
)

// benchmark measures one thing on a fresh database.
type benchmark struct {
	name string
	what string
	run  func(ctx context.Context, out io.Writer, databaseURL string) error
}

var benchmarks = []benchmark{
	{"append", "durable single-event appends with expected version, beside single-row INSERTs", benchAppend},
	{"latency", "append acknowledged to frame read by a client on loopback, at 1,000 events a second with 1,000 connections", benchLatency},
	{"export", "export of a million events beside psql's \\copy, and their verification", benchExport},
	{"history", "the history of an order at 3 million events beside that at 10 thousand", benchHistory},
	{"fanout", "200 messages to 1,000 Socket.IO connections over WebSocket, beside socket.io on Node", benchFanout},
	{"broadcast", "1,000 events to 1,000 WebSocket connections, beside centrifuge and a bare gorilla/websocket", benchBroadcast},
	{"targeted", "5,000 events a second, each to 3 of 5,000 WebSocket connections", benchTargeted},
	{"storm", "5,000 clients return at once, beside centrifuge; and from the database beside from memory", benchStorm},
	{"memory", "resident memory of 10,000 idle WebSocket connections, beside centrifuge", benchMemory},
	{"rebuild", "the orders view derived anew from a million events while orders arrive", benchRebuild},
	{"keepup", "the highest rate of appends at which every projection stays within a second, beside appends that nothing follows", benchKeepUp},
	{"feed", "the notification log derived anew from a million events, beside COPY of the events to the client", benchFeed},
	{"age", "appends and resumes at 5 million events in the log beside those at 50 thousand", benchAge},
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
	name := flag.String("name", "", "run only this benchmark")
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

func run(ctx context.Context, out io.Writer, name string) error {
	ran := false
	for _, b := range benchmarks {
		if name != "" && name != b.name {
			continue
		}
		ran = true
		fmt.Fprintf(out, "\n== %s: %s\n", b.name, b.what)
		if err := onFreshDatabase(ctx, func(url string) error { return b.run(ctx, out, url) }); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
	}
	if !ran {
		return fmt.Errorf("there is no benchmark %q", name)
	}
	return nil
}

// onFreshDatabase runs f on a migrated PostgreSQL with its default settings: it waits for the disk.
func onFreshDatabase(ctx context.Context, f func(url string) error) error {
	dir, err := os.MkdirTemp("", "orderlog-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the server's user has to get through
		return err
	}
	pg, err := localpg.Start(ctx, localpg.Config{Dir: filepath.Join(dir, "postgres"), Settings: map[string]string{"max_connections": "300"}})
	if err != nil {
		return err
	}
	defer func() { _ = pg.Stop(context.WithoutCancel(ctx)) }()
	if err := migrations.Up(ctx, pg.URL("")); err != nil {
		return err
	}
	return f(pg.URL(""))
}

func machine() string {
	return fmt.Sprintf("%s/%s, %d cores, %s, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(),
		time.Now().UTC().Format("2006-01-02"))
}
