package soak

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Sample is what a process used at a moment.
type Sample struct {
	At         time.Duration // since the watch began
	Started    float64       // when the process was started, in Unix seconds: another after a restart
	Goroutines float64
	Files      float64 // open file descriptors, connections among them
	// HeapGoal is the size at which the next garbage collection begins, in bytes: about twice what the last one found to be
	// alive. Unlike the heap's size it has no saw-tooth.
	HeapGoal float64
	Resident float64 // memory that is resident, in bytes
	Ring     float64 // bytes of the notifications that a node holds in memory, up to a bound; for the reader, not judged
}

const (
	metricStarted    = "process_start_time_seconds"
	metricGoroutines = "go_goroutines"
	metricFiles      = "process_open_fds"
	metricHeapGoal   = "go_memstats_next_gc_bytes"
	metricResident   = "process_resident_memory_bytes"
	metricRing       = "orderlog_hub_ring_bytes"
)

// take asks a process how it fares. What the kernel says of it counts more than what it says itself.
func (t Target) take(ctx context.Context) (Sample, error) {
	figures, err := scrape(ctx, t.MetricsURL)
	if err != nil {
		return Sample{}, err
	}
	for _, name := range []string{metricStarted, metricGoroutines, metricFiles, metricHeapGoal, metricResident} {
		if _, ok := figures[name]; !ok {
			return Sample{}, fmt.Errorf("soak: %s does not tell %s", t.MetricsURL, name)
		}
	}
	s := Sample{
		Started: figures[metricStarted], Goroutines: figures[metricGoroutines], Files: figures[metricFiles],
		HeapGoal: figures[metricHeapGoal], Resident: figures[metricResident], Ring: figures[metricRing],
	}
	if t.PID == nil {
		return s, nil
	}
	if s.Resident, s.Files, err = kernel(t.PID()); err != nil {
		return Sample{}, fmt.Errorf("soak: %w", err)
	}
	return s, nil
}

// largestAnswer bounds what is read of an answer.
const largestAnswer = 8 << 20

func scrape(ctx context.Context, url string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("soak: %s answers %s", url, resp.Status)
	}
	figures, err := parse(io.LimitReader(resp.Body, largestAnswer))
	if err != nil {
		return nil, fmt.Errorf("soak: read %s: %w", url, err)
	}
	return figures, nil
}

// parse reads the figures without labels of Prometheus' text format.
func parse(r io.Reader) (map[string]float64, error) {
	figures := map[string]float64{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, rest, ok := strings.Cut(lines.Text(), " ")
		if !ok || name == "#" || strings.Contains(name, "{") {
			continue
		}
		value, _, _ := strings.Cut(rest, " ") // a time may follow
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is %q: %w", name, value, err)
		}
		figures[name] = v
	}
	return figures, lines.Err()
}

// kernel tells a process's resident bytes and open files by what Linux says.
func kernel(pid int) (resident, files float64, err error) {
	folder := fmt.Sprintf("/proc/%d", pid)
	status, err := os.ReadFile(folder + "/status")
	if err != nil {
		return 0, 0, err
	}
	_, rest, ok := bytes.Cut(status, []byte("VmRSS:"))
	fields := strings.Fields(string(rest))
	if !ok || len(fields) < 2 || fields[1] != "kB" {
		return 0, 0, errors.New("no VmRSS in " + folder + "/status")
	}
	kilobytes, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return 0, 0, err
	}
	open, err := os.ReadDir(folder + "/fd")
	if err != nil {
		return 0, 0, err
	}
	return kilobytes * 1024, float64(len(open)), nil
}
