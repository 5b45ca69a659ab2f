package main

import (
	"bytes"
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
	code := run(t.Context(), []string{"-for", "20s", "-seed", "7", "-clients", "60", "-rate", "25"}, &line, &said)
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
		{"-for", "soon"}, {"-for", "10ms"}, {"-faults", "earthquake"}, {"-plant", "earthquake"}, {"-nodes", "0"}, {"-clients", "0"}, {"-rate", "0"}, {"now"}, {"-h"},
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
