package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

// noDatabases provides benchmarks with nothing.
func noDatabases(_ context.Context, _ benchmark, f func(string) error) error { return f("") }

func five(r float64) ratios { return ratios{r, r, r, r, r} }

// measures is a benchmark that comes to a figure, and then to an error or none.
func measures(name string, r ratios, err error) benchmark {
	return benchmark{name: name, run: func(_ context.Context, out io.Writer, _ string) error {
		fmt.Fprintln(out, "measuring", name)
		result(out, name, "peer", r, 1, false)
		return err
	}}
}

func TestABenchmarkThatFailsIsVoidAndTheOthersRun(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := &suite{out: &out, provide: noDatabases}
	err := s.run(t.Context(), []benchmark{
		measures("first", five(2), nil), measures("second", five(3), errors.New("an event was lost")), measures("third", five(.5), nil),
	})
	if err == nil || err.Error() != "void: second" {
		t.Errorf("the run came to %v", err)
	}
	said := out.String() + s.report(nil)
	for _, want := range []string{
		"RESULT name=first peer=peer ratio=2.00 spread=2.00..2.00 target=1 ok\n",
		"VOID name=second: an event was lost\n",
		"RESULT name=third peer=peer ratio=0.50 spread=0.50..0.50 target=1 short\n",
		"\nvoid: second: an event was lost\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in:\n%s", want, said)
		}
	}
	if strings.Contains(said, "RESULT name=second") {
		t.Errorf("a void benchmark has a figure:\n%s", said)
	}
}

func TestWhatIsShortIsNoFailure(t *testing.T) {
	t.Parallel()
	s := &suite{out: io.Discard, provide: noDatabases}
	if err := s.run(t.Context(), []benchmark{measures("slow", five(.1), nil)}); err != nil {
		t.Fatal(err)
	}
}

func TestAFigureIsOfFiveNumbersAtLeast(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]ratios{
		"too few": {1, 1, 1, 1}, "none": {}, "no number": {1, 1, math.NaN(), 1, 1}, "endless": {1, 1, math.Inf(1), 1, 1}, "less than nothing": {1, 1, -1, 1, 1},
	} {
		s := &suite{out: io.Discard, provide: noDatabases}
		if err := s.run(t.Context(), []benchmark{measures("x", r, nil)}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestADatabaseThatDoesNotStartMakesItsBenchmarkVoid(t *testing.T) {
	t.Parallel()
	s := &suite{out: io.Discard, provide: func(_ context.Context, b benchmark, f func(string) error) error {
		if b.in == freshDatabase {
			return errors.New("no PostgreSQL")
		}
		return f("")
	}}
	with := measures("with", five(1), nil)
	with.in = freshDatabase
	err := s.run(t.Context(), []benchmark{with, measures("without", five(1), nil)})
	if err == nil || len(s.figures) != 1 || s.figures[0].name != "without" {
		t.Errorf("%v, %v", err, s.figures)
	}
}

func TestTheRunThatIsInterruptedCanNotBeTrusted(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	s := &suite{out: io.Discard, provide: noDatabases}
	waits := benchmark{name: "waits", run: func(ctx context.Context, _ io.Writer, _ string) error {
		stop()
		<-ctx.Done()
		return ctx.Err()
	}}
	err := s.run(ctx, []benchmark{waits, measures("later", five(1), nil)})
	if err == nil || !strings.Contains(err.Error(), "waits") {
		t.Errorf("the run came to %v", err)
	}
}

func TestTheRatioIsTheMedianAndTheSpreadIsAllOfThem(t *testing.T) {
	t.Parallel()
	r := ratios{3, 1, 9, 2, 2.5}
	if got := r.String(); got != "ratio=2.50 spread=1.00..9.00" {
		t.Error(got)
	}
	if r[0] != 3 {
		t.Error("the rounds were put into another order")
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		ratio  float64
		atMost bool
		want   string
	}{
		{1.99, false, "short"},
		{2, false, "ok"},
		{2.01, false, "ok"},
		{1.99, true, "ok"},
		{2, true, "ok"},
		{2.01, true, "short"},
		{math.NaN(), false, "short"},
		{math.NaN(), true, "short"},
	} {
		if got := (figure{ratios: five(tc.ratio), target: 2, atMost: tc.atMost}).verdict(); got != tc.want {
			t.Errorf("%v against 2, at most: %v: %s", tc.ratio, tc.atMost, got)
		}
	}
}

func TestTheTableHasEveryFigureAndEveryBenchmarkThatIsVoid(t *testing.T) {
	t.Parallel()
	s := &suite{
		figures: []figure{{"append_64", "pg_insert", ratios{2.5, 2.6, 2.71, 2.8, 2.83}, 2.5, false}, {"memory", "goal", five(.4), .4, true}},
		void:    []failure{{"storm", errors.New("a peer did not start")}},
	}
	const want = `
| figure    | beside    | ratio | spread     | target |      |
|-----------|-----------|-------|------------|--------|------|
| append_64 | pg_insert | 2.71  | 2.50..2.83 | ≥ 2.5  | ok   |
| memory    | goal      | 0.40  | 0.40..0.40 | ≤ 0.4  | ok   |
| storm     |           |       |            |        | void |
`
	if got := "\n" + s.table(); got != want {
		t.Errorf("got%s", got)
	}
}

func TestBenchmarksAreChosenByName(t *testing.T) {
	t.Parallel()
	for names, want := range map[string]string{
		"append": "append", "age,append": "append age", "history": "history",
		"": "memory broadcast fanout targeted storm latency append keepup feed age",
	} {
		chosen, err := choose(names)
		var got []string
		for _, b := range chosen {
			got = append(got, b.name)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %v, %v", names, got, err)
		}
	}
	if _, err := choose("apend"); err == nil || !strings.Contains(err.Error(), "append") {
		t.Errorf("apend: %v", err)
	}
}

func TestWhatTheMachineLacksIsSaidBeforeAnythingIsRun(t *testing.T) {
	t.Parallel()
	none := func(string) (string, error) { return "", errors.New("not found") }
	for name, want := range map[string][]string{
		"fanout": {"npm is missing", "node is missing", "Node.js 20"}, "export": {"psql is missing"}, "storm": {"go is missing"},
	} {
		chosen, err := choose(name)
		if err != nil {
			t.Fatal(err)
		}
		err = missing(t.Context(), chosen, none)
		for _, w := range want {
			if err == nil || strings.Count(err.Error(), w) != 1 && w != "Node.js 20" {
				t.Errorf("%s: %v, want %q once", name, err, w)
			}
		}
	}
	if err := missing(t.Context(), []benchmark{{name: "needs nothing"}}, none); err != nil {
		t.Error(err)
	}
}
