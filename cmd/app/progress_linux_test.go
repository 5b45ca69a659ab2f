package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orderlog/orderlog/replay/rebuild"
)

// terminal opens a pseudo-terminal of 80 columns; shown closes it and returns what was written to it.
func terminal(t *testing.T) (tty *os.File, shown func() string) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	fd := int(screen.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(screen) // ends with an error when the other side is closed
		text <- string(b)
	}()
	return tty, func() string {
		_ = tty.Close()
		return <-text
	}
}

// screens are what one line of a terminal showed, one after the other, and what is left of it.
func screens(text string) (seen []string, left string) {
	for screen := range strings.SplitSeq(text, "\r") {
		if screen = strings.TrimSpace(strings.ReplaceAll(screen, "\x1b[2K", "")); screen != "" {
			seen = append(seen, screen)
		}
	}
	if i := strings.LastIndex(text, "\r"); i >= 0 {
		left = strings.TrimSpace(strings.ReplaceAll(text[i:], "\x1b[2K", ""))
	}
	return seen, left
}

func TestProgressOnATerminalIsOneLineThatGoesAway(t *testing.T) {
	t.Parallel()
	tty, shown := terminal(t)
	if got := columns(tty); got != 80 {
		t.Errorf("the terminal has %d columns, want 80", got)
	}
	synctest.Test(t, func(*testing.T) {
		bar := newProgress(tty, "exporting", 1000, 5_001_000, "events")
		for n := int64(1000); n < 3_001_000; n += 500 {
			bar.at(n)
			<-time.After(time.Millisecond)
		}
		bar.reaches(9_001_000)
		<-time.After(time.Second)
		bar.at(9_001_000)
		bar.end()
		bar.at(9_001_000)
	})
	seen, left := screens(shown())
	if left != "" {
		t.Errorf("left %q", left)
	}
	for _, screen := range seen {
		if !strings.HasPrefix(screen, "exporting") || len(screen) > 80 {
			t.Errorf("showed %q", screen)
		}
	}
	// 500 events a millisecond for 6 s, of which ten a second are shown.
	if len(seen) < 50 || len(seen) > 70 {
		t.Errorf("showed %d times how far it is", len(seen))
	}
	for i, want := range map[int]string{20: "events/s) [2s:", len(seen) - 1: "(8999999/9000000, "} {
		if !strings.Contains(seen[i], want) {
			t.Errorf("showed %q, want %q in it", seen[i], want)
		}
	}
}

func TestARebuildOnATerminalHasABarForEachPhase(t *testing.T) {
	t.Parallel()
	tty, shown := terminal(t)
	synctest.Test(t, func(*testing.T) {
		p := &rebuildProgress{w: tty}
		for _, now := range []rebuild.Progress{
			{Phase: rebuild.PhaseBuilding, Done: 40_000, Total: 100_000, ContinuedFrom: 40_000},
			{Phase: rebuild.PhaseBuilding, Done: 70_000, Total: 100_000, Rate: 50, Left: time.Second},
			{Phase: rebuild.PhaseComparing}, // how much there is is not known yet
			{Phase: rebuild.PhaseComparing, Done: 0, Total: 3000},
			{Phase: rebuild.PhaseComparing, Done: 2000, Total: 3000},
			{Phase: rebuild.PhaseSwapping, Done: 100_000, Total: 100_000},
		} {
			p.show(now)
			<-time.After(time.Second)
		}
		p.end()
	})
	seen, left := screens(shown())
	all := strings.Join(seen, "\n")
	for _, want := range []string{"going on after seq 40000", "building", "(30000/60000", "comparing", "(2000/3000", "rows/s"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q was not shown:\n%s", want, all)
		}
	}
	if left != "" {
		t.Errorf("left %q", left)
	}
}
