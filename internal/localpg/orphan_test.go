package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAServerThatDiedIsNoticedAndRecovers(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	s := begin(t, cfg)
	do(t, s.URL(""), `CREATE TABLE kept AS SELECT 7 AS n`)
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the end of the server is told as %v", err)
	}
	stop(t, s)
	if _, err := os.Stat(filepath.Join(s.Home(), dataFolder, pidFile)); err != nil {
		t.Fatalf("there is no stale file to get over: %v", err)
	}
	s = begin(t, cfg)
	if n := value[int](t, s.URL(""), `SELECT n FROM kept`); n != 7 {
		t.Errorf("found %d", n)
	}
}

func TestAPidFileWhoseNumberBelongsToAnotherProgramIsNotInTheWay(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	s := begin(t, cfg)
	stop(t, s)
	// PostgreSQL takes a living process of its own user for a server.
	other := exec.CommandContext(t.Context(), "sleep", "600")
	other.SysProcAttr = attributes(clusterAccount(t, s.Home()))
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	data := filepath.Join(s.Home(), dataFolder)
	content := fmt.Sprintf("%d\n%s\n%d\n5432\n\n\n", other.Process.Pid, data, time.Now().Unix())
	if err := os.WriteFile(filepath.Join(data, pidFile), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := clusterAccount(t, s.Home()).own(filepath.Join(data, pidFile)); err != nil {
		t.Fatal(err)
	}
	begin(t, cfg)
	if err := syscall.Kill(other.Process.Pid, 0); err != nil {
		t.Errorf("the other program was ended: %v", err)
	}
}

func TestAServerThatOutlivedItsProgramIsReplaced(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	s := begin(t, cfg)
	do(t, s.URL(""), `CREATE TABLE kept AS SELECT 7 AS n`)
	stop(t, s)
	// As s, but not bound to our life and without our lock.
	orphan := exec.CommandContext(t.Context(), s.programs.path("postgres"), s.arguments()...)
	orphan.Dir, orphan.Env, orphan.SysProcAttr = s.Home(), environment(), attributes(clusterAccount(t, s.Home()))
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = orphan.Wait() // it is ended by a signal
	}()
	data := filepath.Join(s.Home(), dataFolder)
	await(t, "the orphan is up", func() bool {
		pid, err := readPID(filepath.Join(data, pidFile))
		return err == nil && pid == orphan.Process.Pid
	})
	next := begin(t, cfg)
	<-ended
	if n := value[int](t, next.URL(""), `SELECT n FROM kept`); n != 7 {
		t.Errorf("found %d", n)
	}
}

func TestAServerGoesWithItsProgram(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	program := exec.CommandContext(t.Context(), os.Args[0])
	program.Env = append(os.Environ(), programVariable+"="+dir)
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the program says %q", line)
	}
	if err := program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = program.Wait()
	if runtime.GOOS == "linux" {
		await(t, "the server has ended", func() bool { return !serves(t.Context(), pid, filepath.Join(dir, dataFolder)) })
	}
	begin(t, Config{Dir: dir, NoSync: true}) // elsewhere the next start ends it
	if serves(t.Context(), pid, filepath.Join(dir, dataFolder)) {
		t.Error("the old server is still there")
	}
}

func TestRemoveEndsAServerThatWasLeft(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	stop(t, begin(t, cfg))
	if err := Remove(t.Context(), cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cfg.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
	if err := Remove(t.Context(), cfg.Dir); err != nil {
		t.Errorf("a folder that is gone: %v", err)
	}
}

func TestOnlyAServerOfTheClusterIsTakenForOne(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"/usr/lib/postgresql/15/bin/postgres -D /data -c port=1": true,
		"postgres -D/data":             true,
		"/usr/bin/postmaster -D /data": true,
		"postgres -D /data2":           false,
		"postgres -D":                  false,
		"vi -D /data":                  false,
		"postgres: checkpointer":       false,
		"":                             false,
	} {
		if got := isServer(strings.Fields(line), "/data"); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

func clusterAccount(t *testing.T, home string) *account {
	t.Helper()
	a, err := thisMachine().owner(home)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
