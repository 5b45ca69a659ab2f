package soak

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mebibyte = 1 << 20
	perHour  = 50 * 3600.0 // requests, at 50 a second

	// runs are made with a seed each, and at most so many may be judged wrongly by chance.
	runs, byChance = 200, 2
)

// healthy is a node that serves 50 requests a second for some time, sampled every 5 s: its collector saws at its memory, and
// requests and clients that come back are added to what it always has.
func healthy(seed uint64, over time.Duration) []Sample {
	r := rand.New(rand.NewPCG(seed, seed))
	var all []Sample
	for at := time.Duration(0); at <= over; at += 5 * time.Second {
		busy := r.ExpFloat64() // seldom much, often little
		all = append(all, Sample{
			At: at, Started: 1,
			Goroutines: 400 + float64(int(busy*15)) + float64(r.IntN(5)),
			Files:      330 + float64(int(busy*10)) + float64(r.IntN(3)),
			HeapGoal:   (60 + 3*r.NormFloat64()) * mebibyte,
			Resident:   (90 + 20*r.Float64() + 4*busy) * mebibyte,
		})
	}
	return all
}

func leaking(all []Sample, leak func(s *Sample, hours float64)) []Sample {
	all = slices.Clone(all)
	for i := range all {
		leak(&all[i], all[i].At.Hours())
	}
	return all
}

func growing(v Verdict) (names []string) {
	for _, f := range v.Figures {
		if f.Grows() {
			names = append(names, f.Name)
		}
	}
	return names
}

func TestWhatLeaksIsFound(t *testing.T) {
	t.Parallel()
	leaks := map[string]func(s *Sample, hours float64){
		"heap goal":  func(s *Sample, hours float64) { s.HeapGoal += 2 * perHour * 1024 * hours },          // a KB of every request
		"resident":   func(s *Sample, hours float64) { s.Resident += 2 * perHour * 1024 * hours },          // the same, as the kernel sees it
		"goroutines": func(s *Sample, hours float64) { s.Goroutines += float64(int(60 * hours)) },          // one a minute
		"files":      func(s *Sample, hours float64) { s.Files += float64(int(60 * hours)); s.Files += 2 }, // one a minute
	}
	for name, leak := range leaks {
		wrong := 0
		for seed := range uint64(runs) {
			v := Judge(leaking(healthy(seed, 30*time.Minute), leak), time.Minute)
			grow := growing(v)
			if !slices.Equal(grow, []string{name}) {
				wrong++
				t.Logf("%s leak, seed %d: %s", name, seed, v)
			}
			if told := strings.Contains(v.String(), "NOT steady over 20m0s") && strings.Contains(v.String(), "GROWS: "+name); told != slices.Contains(grow, name) {
				t.Errorf("%s leak, seed %d: %s", name, seed, v)
			}
		}
		if wrong > byChance {
			t.Errorf("%s leak: %d of %d are judged wrongly", name, wrong, runs)
		}
	}
	short := Judge(leaking(healthy(1, 10*time.Minute), leaks["heap goal"]), time.Minute)
	if short.Steady() {
		t.Errorf("in ten minutes: %s", short)
	}
}

func TestWhatDoesNotLeakIsSteady(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(s *Sample, hours float64){
		"as it is": func(*Sample, float64) {},
		"caches that fill in the first eight minutes": func(s *Sample, hours float64) {
			s.HeapGoal += min(hours*60, 8) * 16 * mebibyte
			s.Resident += min(hours*60, 8) * 20 * mebibyte
		},
		"clients that come in the first five minutes": func(s *Sample, hours float64) {
			s.Goroutines += float64(int(min(hours*60, 5) * 100))
			s.Files += float64(int(min(hours*60, 5) * 100))
		},
		"one cache that is made late": func(s *Sample, hours float64) {
			if hours*60 > 19 {
				s.HeapGoal += 64 * mebibyte
				s.Resident += 64 * mebibyte
			}
		},
		"clients that go": func(s *Sample, hours float64) { s.Goroutines -= float64(int(hours * 200)) },
	} {
		wrong := 0
		for seed := range uint64(runs) {
			if v := Judge(leaking(healthy(seed, 30*time.Minute), change), time.Minute); !v.Steady() {
				wrong++
				t.Logf("%s, seed %d: %s", name, seed, v)
			}
		}
		if wrong > byChance {
			t.Errorf("%s: %d of %d are judged wrongly", name, wrong, runs)
		}
	}
}

func TestOnlyTheLifeSinceTheLastRestartIsJudged(t *testing.T) {
	t.Parallel()
	before, after := healthy(1, 20*time.Minute), healthy(2, 12*time.Minute)
	for i := range before {
		before[i].HeapGoal /= 3
	}
	for i := range after {
		after[i].At += 21 * time.Minute
		after[i].Started = 2
	}
	v := Judge(append(before, after...), time.Minute)
	if !v.Steady() || v.Over != 8*time.Minute {
		t.Errorf("%s", v)
	}
	v = Judge(append(before, after[:20]...), time.Minute) // 95 s
	if v.Judged() || v.Steady() || !strings.Contains(v.String(), "too short") {
		t.Errorf("%s", v)
	}
}

func TestClientsThatGoFromOneNodeToAnotherAreNoLeak(t *testing.T) {
	t.Parallel()
	moving := func(by float64) func(*Sample, float64) {
		return func(s *Sample, hours float64) {
			s.Goroutines += float64(int(by * hours * 200))
			s.Files += float64(int(by * hours * 200))
		}
	}
	watched := func(seed uint64, change func(*Sample, float64)) *Watch {
		w := New(Target{})
		w.samples = leaking(healthy(seed, 30*time.Minute), change)
		for i := range w.samples {
			w.samples[i].At += time.Duration(seed) * time.Second // they are not asked in step
		}
		return w
	}
	wins, loses := watched(1, moving(1)), watched(2, moving(-1))
	if grow := growing(wins.Judge()); !slices.Equal(grow, []string{"goroutines", "files"}) {
		t.Errorf("alone %v grow", grow)
	}
	v := Together("both", wins, loses)
	if !v.Steady() || v.Name != "both" || v.Figures[0].Level < 700 {
		t.Errorf("%s", v)
	}
	leaks := watched(3, func(s *Sample, hours float64) { s.HeapGoal += 2 * perHour * 1024 * hours })
	if v := Together("three", wins, loses, leaks); !slices.Equal(growing(v), []string{"heap goal"}) {
		t.Errorf("%s", v)
	}
	if v := Together("none"); v.Judged() {
		t.Errorf("%s", v)
	}
}

func TestTooLittleIsNotJudged(t *testing.T) {
	t.Parallel()
	for name, samples := range map[string][]Sample{
		"nothing":       nil,
		"one":           healthy(1, 0),
		"a minute":      healthy(1, time.Minute),
		"with long gap": append(healthy(1, time.Minute), leaking(healthy(1, time.Minute), func(s *Sample, _ float64) { s.At += time.Hour })...),
	} {
		if v := Judge(samples, time.Minute); v.Judged() || v.Steady() {
			t.Errorf("%s: %s", name, v)
		}
	}
}
