package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestAnExportIsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	s, env, order := auditedOrder(t)
	all := strings.SplitAfter(told(t, env, "audit export"), "\n")
	all = all[:len(all)-1] // what is behind the last line
	events := s.must(t, 200, "GET", fmt.Sprintf("/api/v1/audit/events?min_seq=%d", len(all)), s.admin, nil).body["items"].([]any)
	for i, line := range all {
		if !reflect.DeepEqual(parsed(t, line), events[i]) || len(events) != len(all) {
			t.Fatalf("line %d of %d is %s, and the API has %v", i+1, len(all), line, events[i])
		}
	}
	at := func(i int) string { return events[i].(map[string]any)["at"].(string) }
	of := func(holds func(e map[string]any) bool) (lines []string) {
		for i, e := range events {
			if holds(e.(map[string]any)) {
				lines = append(lines, all[i])
			}
		}
		return lines
	}
	typ := func(names ...string) []string {
		return of(func(e map[string]any) bool { return slices.Contains(names, e["type"].(string)) })
	}
	for command, want := range map[string][]string{
		"--from 2 --to 3":                                   all[1:3],
		"--from 1 --to 1":                                   all[:1],
		"--to 999999":                                       all,
		"--from 999999":                                     nil,
		"--from " + strconv.Itoa(len(all)):                  all[len(all)-1:],
		"--type order.placed --type product.added":          typ("order.placed", "product.added"),
		"--type order.placed,order.status_changed --from 4": typ("order.status_changed"),
		"--stream order/" + order:                           of(func(e map[string]any) bool { return e["stream"] == "order/"+order }),
		"--stream " + order:                                 of(func(e map[string]any) bool { return e["stream"] == "order/"+order }),
		"--actor ada":                                       of(func(e map[string]any) bool { return e["meta"].(map[string]any)["userId"] == "ada" }),
		"--since " + at(3):                                  of(func(e map[string]any) bool { return e["at"].(string) >= at(3) }),
		"--until " + at(3):                                  of(func(e map[string]any) bool { return e["at"].(string) < at(3) }),
		"--since 2100-01-01":                                nil,
		"--format ndjson --type order.placed --actor boss":  nil,
		"--actor boss --type order.status_changed --since 2020-01-01 --to 99": typ("order.status_changed"),
	} {
		if got := told(t, env, "audit export "+command); got != strings.Join(want, "") {
			t.Errorf("audit export %s printed\n%swant\n%s", command, got, strings.Join(want, ""))
		}
	}

	rows, err := csv.NewReader(strings.NewReader(told(t, env, "audit export --format csv"))).ReadAll()
	if err != nil || len(rows) != len(all)+1 || rows[0][0] != "seq" || rows[1][0] != "1" {
		t.Errorf("as CSV: %v %v", rows, err)
	}
	out, _, err := asked(t, env, "audit export --type order.baked")
	if exitCode(err) != 2 || !strings.Contains(err.Error(), "order.baked") || out != "" {
		t.Errorf("a type that nobody knows: %v", err)
	}
}

// outputFunc is an output.
type outputFunc func(b []byte) (int, error)

func (f outputFunc) Write(b []byte) (int, error) { return f(b) }

func TestAnExportThatIsStoppedSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	past(t, pgtest.Pool(t, url), 4000)
	env := serverSettings(t, url)
	caughtUp(t, env)
	for format, extra := range map[string]string{"ndjson": "", "csv": " --format csv"} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var begun bytes.Buffer
		out := outputFunc(func(b []byte) (int, error) {
			cancel() // Ctrl-C, in the middle
			return begun.Write(b)
		})
		err := run(ctx, strings.Fields("audit export"+extra), env.getenv, out, io.Discard)
		var seq, next int
		if exitCode(err) != 1 {
			t.Fatalf("%s: ended with %v", format, err)
		}
		if n, _ := fmt.Sscanf(err.Error(), "stopped after seq %d: go on with --from %d", &seq, &next); n != 2 || next != seq+1 || seq < 100 || seq > 3900 {
			t.Fatalf("%s: ended with %v", format, err)
		}
		whole, rest := told(t, env, "audit export"+extra), told(t, env, fmt.Sprintf("audit export --from %d%s", next, extra))
		if format == "csv" {
			_, rest, _ = strings.Cut(rest, "\n") // its header
		}
		if begun.String()+rest != whole {
			t.Errorf("%s: the two parts are not the whole: %d and %d of %d bytes", format, begun.Len(), len(rest), len(whole))
		}
	}

	out := outputFunc(func([]byte) (int, error) { return 0, syscall.ENOSPC })
	if err := run(t.Context(), []string{"audit", "export"}, env.getenv, out, io.Discard); exitCode(err) != 1 ||
		!strings.Contains(err.Error(), "no space") || strings.Contains(err.Error(), "--from") {
		t.Errorf("an output that is full: %v", err)
	}
	closedEarly(t, env)
	unread(t, env)
}

// unread reads nothing of an export behind its first bytes, and interrupts it.
func unread(t *testing.T, env settings) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "audit", "export")
	cmd.Env = []string{asProgram + "=1"}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	var messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = in, &messages
	err = cmd.Start()
	_ = in.Close()
	if err != nil {
		t.Fatal(err)
	}
	// The first write is larger than a pipe, so it is under way, and cannot end, when its first bytes arrive.
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 1 || messages.String() != "app: the output cannot be written: stopped, and nobody reads it\n" {
		t.Errorf("it ended with %v and said %q", cmd.ProcessState, messages.String())
	}
}

func TestAWriteThatNobodyTakesIsGivenUpSoonAfterTheSignal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, w := io.Pipe()
		defer func() { _ = r.Close() }()
		out := &patientWriter{ctx: ctx, w: w}
		signalled := make(chan time.Time, 1)
		context.AfterFunc(ctx, func() { signalled <- time.Now() })
		var began time.Time
		time.AfterFunc(time.Hour, cancel) // a slow reader is waited for as long as nobody interrupts
		for i := range 2 {
			if n, err := out.Write([]byte("event")); n != 0 || !errors.Is(err, errUnread) {
				t.Errorf("wrote %d: %v", n, err)
			}
			if i == 0 {
				began = <-signalled
			}
			if took := time.Since(began); took != writePatience {
				t.Errorf("gave up %v after the signal", took)
			}
		}
	})
}

// closedEarly reads a line of an export and closes the pipe, as head does.
func closedEarly(t *testing.T, env settings) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "audit", "export")
	cmd.Env = []string{asProgram + "=1"}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, `{"seq":1,`) {
		t.Errorf("the first line is %q, %v", line, err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 1 || messages.String() != "app: stopped: who read the output has closed it\n" {
		t.Errorf("it ended with %v and said %q", cmd.ProcessState, messages.String())
	}
}
