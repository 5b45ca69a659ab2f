package soak

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// windows is how many pieces the time after the warm-up is cut into.
	windows = 12
	// leastInWindow is how many samples a piece needs, so that some of them are of a quiet moment.
	leastInWindow = 2
	// step is the part of what is tolerated that has to be left without the greatest step: what happens once is no leak.
	step = 0.5
)

// Figure is what became of one of the things that a process uses.
type Figure struct {
	Name  string
	Level float64 // the median over the windows
	// Growth is by how much it rose from the first window to the last, as a line that few outliers move.
	Growth float64
	// Tolerance is the growth that is taken for chance.
	Tolerance float64
	// WithoutStep is the growth without the greatest step.
	WithoutStep float64
	bytes       bool
}

// Grows says whether it rose by more than is tolerated, and more than once.
func (f Figure) Grows() bool { return f.Growth > f.Tolerance && f.WithoutStep > step*f.Tolerance }

// Verdict says whether what a process uses grows.
type Verdict struct {
	Name string
	Over time.Duration // what was judged: without the warm-up, and since the last restart
	// Figures is empty when there was too little to judge.
	Figures []Figure
}

// Judged says whether there was enough to judge.
func (v Verdict) Judged() bool { return len(v.Figures) > 0 }

// Steady says that nothing grows; false too when there was too little to judge.
func (v Verdict) Steady() bool { return v.Judged() && !slices.ContainsFunc(v.Figures, Figure.Grows) }

// String is a line for a report.
func (v Verdict) String() string {
	if !v.Judged() {
		return v.Name + ": watched for too short a time, or answered too seldom, to be judged"
	}
	var all []string
	for _, f := range v.Figures {
		word := ""
		if f.Grows() {
			word = "GROWS: "
		}
		all = append(all, fmt.Sprintf("%s%s %s (%+.1f of %.1f tolerated)", word, f.Name, f.amount(f.Level), f.scaled(f.Growth), f.scaled(f.Tolerance)))
	}
	verdict := "steady"
	if !v.Steady() {
		verdict = "NOT steady"
	}
	return fmt.Sprintf("%s: %s over %s: %s", v.Name, verdict, v.Over.Round(time.Second), strings.Join(all, ", "))
}

func (f Figure) amount(v float64) string {
	if f.bytes {
		return fmt.Sprintf("%.1f MiB", f.scaled(v))
	}
	return fmt.Sprintf("%.0f", v)
}

func (f Figure) scaled(v float64) float64 {
	if f.bytes {
		return v / (1 << 20)
	}
	return v
}

// kinds are what is judged, and what growth of it is tolerated: at least so much, or such a part of its level.
//
// A goroutine and a file are counted exactly, and what comes and goes with requests is above the floor of a window, so
// little is tolerated; a goroutine a minute, over the twenty minutes that are judged of thirty, is 20. Memory is what is
// alive and what the collector leaves lying about: a KB of each of 50 requests a second is 60 MB in the same time, and
// twice that of the heap's goal.
var kinds = []struct {
	name  string
	of    func(Sample) float64
	least float64
	part  float64
	bytes bool
}{
	{"goroutines", func(s Sample) float64 { return s.Goroutines }, 8, 0.01, false},
	{"files", func(s Sample) float64 { return s.Files }, 8, 0.01, false},
	{"heap goal", func(s Sample) float64 { return s.HeapGoal }, 8 << 20, 0.1, true},
	{"resident", func(s Sample) float64 { return s.Resident }, 24 << 20, 0.15, true},
}

// Judge judges the newest life of a process: samples since its last start, without the first third, in which caches fill.
// The rest, at least a time long, is cut into windows. A window is worth its lowest decile: requests, clients that come
// back and a collector that is about to run only add. Something grows when the line through the windows (Theil and Sen's,
// the median of all slopes) rises by more than is tolerated, and still rises without its greatest step: one step, as when
// a cache is made, is no leak.
func Judge(samples []Sample, least time.Duration) Verdict {
	if len(samples) == 0 {
		return Verdict{}
	}
	last := samples[len(samples)-1]
	first := len(samples)
	for first > 0 && samples[first-1].Started == last.Started {
		first--
	}
	warm := samples[first].At + (last.At-samples[first].At)/3
	first += slices.IndexFunc(samples[first:], func(s Sample) bool { return s.At >= warm })
	samples = samples[first:]
	v := Verdict{Over: last.At - samples[0].At}
	pieces, ok := cut(samples)
	if !ok || v.Over < least {
		return v
	}
	for _, k := range kinds {
		var floors []float64
		for _, piece := range pieces {
			floors = append(floors, floor(piece, k.of))
		}
		f := Figure{Name: k.name, Level: median(floors), Growth: growth(floors), bytes: k.bytes}
		f.WithoutStep = growth(withoutStep(floors))
		f.Tolerance = max(k.least, k.part*f.Level)
		v.Figures = append(v.Figures, f)
	}
	return v
}

// cut makes windows of equal time; not ok when one of them has too few samples.
func cut(samples []Sample) (pieces [][]Sample, ok bool) {
	from, over := samples[0].At, samples[len(samples)-1].At-samples[0].At
	pieces = make([][]Sample, windows)
	for _, s := range samples {
		i := min(int(float64(s.At-from)/float64(max(over, 1))*windows), windows-1)
		pieces[i] = append(pieces[i], s)
	}
	return pieces, !slices.ContainsFunc(pieces, func(p []Sample) bool { return len(p) < leastInWindow })
}

// floor is the lowest decile of a figure.
func floor(samples []Sample, of func(Sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/10]
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// growth is by how much a line through values rises from the first to the last: by the median of the slopes of all pairs.
func growth(values []float64) float64 {
	var slopes []float64
	for i := range values {
		for j := range i {
			slopes = append(slopes, (values[i]-values[j])/float64(i-j))
		}
	}
	return median(slopes) * float64(len(values)-1)
}

// withoutStep takes the greatest rise out of all that follow: that over two windows, since it may begin within one.
func withoutStep(values []float64) []float64 {
	at, greatest := 0, 0.0
	for i := 2; i < len(values); i++ {
		if rise := values[i] - values[i-2]; rise > greatest {
			at, greatest = i, rise
		}
	}
	values = slices.Clone(values)
	if at > 0 {
		values[at-1] = values[at-2]
	}
	for i := at; i < len(values); i++ {
		values[i] -= greatest
	}
	return values
}
