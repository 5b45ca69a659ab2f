package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/faults/history"
	"github.com/orderlog/orderlog/faults/nemesis"
)

var outcome = regexp.MustCompile(`^FAULTS seed=(\d+) injected=(\d+) commands=(\d+) deliveries=(\d+) reconnects=(\d+) violations=(\d+)\n$`)

// The program itself, three nodes of it, with a little of everything.
func TestWhateverBreaksThePromisesHold(t *testing.T) {
	t.Parallel()
	var line, said bytes.Buffer
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok { // so that it is told where a run stands still, and nothing is left of it
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-30*time.Second))
		defer cancel()
	}
	code := run(ctx, []string{"-for", "20s", "-seed", "7", "-clients", "60", "-rate", "25"}, &line, &said)
	m := outcome.FindStringSubmatch(line.String())
	if code != sound || m == nil {
		t.Fatalf("ended with %d and %q\n%s", code, line.String(), said.String())
	}
	for i, name := range map[int]string{2: "injected", 3: "commands", 4: "deliveries", 5: "reconnects"} {
		if m[i] == "0" {
			t.Errorf("there are no %s, so that nothing was tried", name)
		}
	}
	if m[1] != "7" || m[6] != "0" {
		t.Errorf("the outcome is %s", m[0])
	}
}

func TestWrongUsageIsToldFromWhatWasFound(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-for", "soon"}, {"-for", "10ms"}, {"-faults", "earthquake"}, {"-plant", "earthquake"}, {"-guards", "earthquake"}, {"-guards", "("}, {"-nodes", "0"}, {"-clients", "0"}, {"-rate", "0"}, {"now"}, {"-h"},
	} {
		var line, said bytes.Buffer
		if code := run(t.Context(), args, &line, &said); code != misuse || line.Len() > 0 || said.Len() == 0 {
			t.Errorf("%v: ended with %d, %q and %q", args, code, line.String(), said.String())
		}
	}
}

func TestWhatIsBrokenMayBeChosen(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string][]string{"all": nemesis.Kinds(), "none": nil, "node.kill,disk.full": {"node.kill", "disk.full"}} {
		o, err := parse([]string{"-faults", arg}, new(bytes.Buffer))
		if err != nil || strings.Join(o.faults, " ") != strings.Join(want, " ") {
			t.Errorf("-faults %s: %v, %v", arg, o.faults, err)
		}
	}
}

// Of the three seconds in which things were broken there was progress in two.
func TestProgressIsCountedInSeconds(t *testing.T) {
	t.Parallel()
	h := history.New(1)
	for _, ended := range []time.Duration{500 * time.Millisecond, 2 * time.Second, 2100 * time.Millisecond, 3 * time.Second, 5 * time.Second} {
		h.AddCommand(&history.Command{Attempts: []history.Attempt{{Outcome: history.Acknowledged, Ended: ended}}})
	}
	h.AddCommand(&history.Command{Attempts: []history.Attempt{{Outcome: history.Refused, Ended: 1500 * time.Millisecond}}})
	r := result{began: time.Second, ended: 4 * time.Second}
	if got := r.progress(h); got < 0.66 || got > 0.67 {
		t.Errorf("progress in %v of the time", got)
	}
}

func TestAFolderWithSomethingInItIsNotMixedWithARun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := parse([]string{"-keep", dir}, new(bytes.Buffer)); err != nil {
		t.Errorf("an empty one is refused: %v", err)
	}
	if _, err := parse([]string{"-keep", filepath.Join(dir, "new")}, new(bytes.Buffer)); err != nil {
		t.Errorf("a new one is refused: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "node-0.log"), []byte("panic: of another run"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := parse([]string{"-keep", dir}, new(bytes.Buffer)); err == nil {
		t.Error("one with the log of another run is taken")
	}
}

func TestFaultsThatStruckNothingAreToldApart(t *testing.T) {
	t.Parallel()
	a := newAttempt(
		history.Fault{Kind: "listen.kill", Detail: "0 connections"}, history.Fault{Kind: "commit.after", Detail: "at 0 commits"},
		history.Fault{Kind: "commit.after", Detail: "at 2 commits"}, history.Fault{Kind: "connections.exhausted", Detail: "80 were taken"},
		history.Fault{Kind: "clock.back", Detail: "by 2s"}, history.Fault{Kind: "node.kill"},
	)
	if got := effective(a.history.Faults()); got != 4 {
		t.Errorf("%d of them count", got)
	}
	a.result.judged = true
	report := a.result.markdown(a)
	for _, want := range []string{"| listen.kill | 1 | 0 connections |", "| commit.after | 2 | 2 commits |", "strike: listen.kill.\n"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
}

func TestARunThatWasBrokenOffIsNotSaidToBeSound(t *testing.T) {
	t.Parallel()
	a := newAttempt()
	report := a.result.markdown(a)
	if !strings.Contains(report, "Not judged") || strings.Contains(report, "violations=0") || strings.Contains(report, "\n0.\n") {
		t.Errorf("the report says:\n%s", report)
	}
}

// newAttempt is a run of a minute from its first second on.
func newAttempt(faults ...history.Fault) *attempt {
	a := &attempt{options: options{rate: 10}, history: history.New(1), result: result{began: time.Second, ended: time.Minute}}
	for _, f := range faults {
		a.history.AddFault(f)
	}
	return a
}

func TestWhoDoesHardlyAnythingInCalmTimesIsFoundOut(t *testing.T) {
	t.Parallel()
	storm := history.Fault{Kind: "node.kill", Began: 10 * time.Second, Ended: 50 * time.Second} // 19 s are left
	for done, found := range map[int]int{0: 1, 9: 1, 10: 0, 100: 0} {
		a := newAttempt(storm)
		for range done {
			a.history.AddCommand(&history.Command{Attempts: []history.Attempt{{Outcome: history.Acknowledged, Ended: 5 * time.Second}}})
		}
		for range 1000 { // these do not count
			a.history.AddCommand(&history.Command{Attempts: []history.Attempt{{Outcome: history.Acknowledged, Ended: 30 * time.Second}}})
		}
		if a.judgeProgress(); a.result.broken != found {
			t.Errorf("with %d commands acknowledged there are %d violations: %v", done, a.result.broken, a.result.violations)
		}
	}
	a := newAttempt(history.Fault{Kind: "node.kill", Began: time.Second, Ended: 57 * time.Second})
	if a.judgeProgress(); a.result.broken > 0 {
		t.Errorf("of 3 s it is said that %v", a.result.violations)
	}
}

func TestAConnectionOnWhichNothingComesIsFoundOut(t *testing.T) {
	t.Parallel()
	const silent = "read tcp 127.0.0.1:1->127.0.0.1:2: i/o timeout"
	for name, tc := range map[string]struct {
		fault history.Fault
		why   string
		at    time.Duration
		found int
	}{
		"nothing was broken":      {history.Fault{Ended: time.Second}, silent, 40 * time.Second, 1},
		"something was just now":  {history.Fault{Began: 5 * time.Second, Ended: 11 * time.Second}, silent, 40 * time.Second, 0},
		"something was meanwhile": {history.Fault{Began: 39 * time.Second, Ended: 50 * time.Second}, silent, 40 * time.Second, 0},
		"something is later":      {history.Fault{Began: 41 * time.Second, Ended: 50 * time.Second}, silent, 40 * time.Second, 1},
		"it is not that old":      {history.Fault{Ended: time.Second}, silent, 31500 * time.Millisecond, 0},
		"it was closed":           {history.Fault{Ended: time.Second}, "unexpected EOF", 40 * time.Second, 0},
	} {
		a := newAttempt(tc.fault)
		a.history.AddClient(&history.Client{Name: "asha", Log: []history.Entry{
			{Kind: history.Opened, At: 10 * time.Second}, {Kind: history.Closed, At: tc.at, Name: tc.why},
		}})
		if a.judgeSilence(); a.result.broken != tc.found {
			t.Errorf("%s: there are %d violations: %v", name, a.result.broken, a.result.violations)
		}
	}
}
