package soak

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// leakVariable makes the test binary a server that leaks what the variable names.
const leakVariable = "ORDERLOG_TEST_LEAK"

const leakBytes = 64 << 10 // of each request: 90 MB over those below, as one KB of 50 a second is in half an hour

func init() {
	if leak := os.Getenv(leakVariable); leak != "" {
		serveLeaking(leak)
	}
}

func serveLeaking(leak string) {
	var mu sync.Mutex
	var kept [][]byte
	var open []*os.File
	requests := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests++
		garbage := bytes.Repeat([]byte("x"), 16*leakBytes) // as a request makes, so that it is collected often
		switch {
		case leak == "memory":
			kept = append(kept, bytes.Clone(garbage[:leakBytes]))
		case leak == "goroutines" && requests%10 == 0:
			go func() { select {} }()
		case leak == "files" && requests%10 == 0:
			f, err := os.Open(os.DevNull)
			if err != nil {
				panic(err)
			}
			open = append(open, f)
		}
	})
	started := time.Now().Unix()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		_, _ = fmt.Fprintf(w, "# HELP go_goroutines of this process\ngo_info{version=\"x\"} 1\ngo_goroutines %d\ngo_memstats_next_gc_bytes %e\n"+
			"process_start_time_seconds %d\nprocess_open_fds 0\nprocess_resident_memory_bytes 0 1700000000\n", runtime.NumGoroutine(), float64(m.NextGC), started)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	_, _ = fmt.Fprintln(os.Stdout, "http://"+l.Addr().String())
	go func() { // ends with who started it
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	panic(http.Serve(l, mux))
}

// start starts such a server and returns its address and how to tell its process.
func start(t *testing.T, leak string) (url string, pid func() int) {
	t.Helper()
	program := exec.CommandContext(t.Context(), os.Args[0])
	program.Env = append(os.Environ(), leakVariable+"="+leak)
	stdin, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = program.Wait()
	})
	if _, err := fmt.Fscanln(stdout, &url); err != nil {
		t.Fatal(err)
	}
	return url, func() int { return program.Process.Pid }
}

func TestAServerIsWatchedFromTheOutside(t *testing.T) {
	t.Parallel()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	for leak, want := range map[string][]string{
		"nothing": nil, "memory": {"heap goal", "resident"}, "goroutines": {"goroutines"}, "files": {"files"},
	} {
		t.Run(leak, func(t *testing.T) {
			t.Parallel()
			url, pid := start(t, leak)
			w := New(Target{Name: leak, MetricsURL: url + "/metrics", PID: pid, Every: 20 * time.Millisecond, Least: time.Nanosecond})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx) }()
			work(t, url, w)
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			v := w.Judge()
			if grow := growing(v); !v.Judged() || !slices.Equal(grow, want) {
				t.Errorf("%v grow, want %v: %s", grow, want, v)
			}
			if n, err := w.Missed(); n > 0 {
				t.Errorf("%d samples were missed: %v", n, err)
			}
			var table bytes.Buffer
			if err := w.WriteCSV(&table); err != nil || strings.Count(table.String(), "\n") != len(w.Samples())+1 {
				t.Errorf("%d samples are told as:\n%s, %v", len(w.Samples()), table.String(), err)
			}
		})
	}
}

// work sends as many requests as a service has in half an hour, each after the watch has looked a while longer, so that
// the load is even over its samples.
func work(t *testing.T, url string, w *Watch) {
	t.Helper()
	const requests, samples = 1400, 300
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; n < requests; {
		if len(w.Samples())*requests/samples <= n {
			<-tick.C
			continue
		}
		n++
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

func TestAServerThatIsAwayIsMissedAndNoError(t *testing.T) {
	t.Parallel()
	gone := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	url, _ := start(t, "nothing")
	for name, target := range map[string]Target{
		"nobody answers":    {MetricsURL: "http://127.0.0.1:1/metrics"},
		"another page":      {MetricsURL: url + "/"},
		"an ended process":  {MetricsURL: url + "/metrics", PID: func() int { return gone.Process.Pid }},
		"no address at all": {MetricsURL: "::"},
	} {
		target.Every = time.Millisecond
		w := New(target)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		for missed := 0; missed < 2; {
			missed, _ = w.Missed()
			if len(w.Samples()) > 0 {
				t.Fatalf("%s: got %+v", name, w.Samples())
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.Missed(); err == nil || !strings.HasPrefix(err.Error(), "soak: ") {
			t.Errorf("%s: %v", name, err)
		}
		if v := w.Judge(); v.Judged() || v.Steady() {
			t.Errorf("%s: %s", name, v)
		}
	}
}

func TestFiguresAreReadFromTheTextFormat(t *testing.T) {
	t.Parallel()
	got, err := parse(strings.NewReader("# TYPE a gauge\na 1.5e+07\nb{x=\"y z\"} 2\n\nc 3 1700000000\nd NaN\n"))
	if err != nil || len(got) != 3 || got["a"] != 15_000_000 || got["c"] != 3 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := parse(strings.NewReader("a one\n")); err == nil {
		t.Error("a figure that is none was read")
	}
}
