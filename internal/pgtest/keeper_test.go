package pgtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

func TestProcessesShareAServerAndTheLastLeavesNothing(t *testing.T) {
	t.Parallel()
	folder := freshFolder(t)
	first, second := startMember(t, folder), startMember(t, folder)
	if first.keeper != second.keeper || first.address != second.address {
		t.Fatalf("two servers for one run: %+v, %+v", first, second)
	}
	postmaster := postmasterOf(t, folder)

	first.leave(t) // although it is the parent of the keeper
	connect(t, second.address)
	second.leave(t)
	expectNothingLeft(t, folder, first.keeper, postmaster)
}

func TestACrashOfAMemberDoesNotDisturbOthers(t *testing.T) {
	t.Parallel()
	folder := freshFolder(t)
	first, second := startMember(t, folder), startMember(t, folder)
	first.kill(t)
	connect(t, second.address)
	second.leave(t)
	expectNothingLeft(t, folder, first.keeper, 0)
}

// `go test` reads a test binary's output until nobody holds it, so this is how it gets to wait for the keeper of a binary
// that panicked or was killed.
func TestTheOutputOfACrashedMemberStaysOpenUntilNothingIsLeft(t *testing.T) {
	t.Parallel()
	folder := freshFolder(t)
	member := startMember(t, folder)
	postmaster := postmasterOf(t, folder)
	member.kill(t)
	expectNothingLeft(t, folder, member.keeper, postmaster)
}

func TestAFolderWhoseKeeperWasKilledIsReplaced(t *testing.T) {
	t.Parallel()
	folder := freshFolder(t)
	member := startMember(t, folder)
	postmaster := postmasterOf(t, folder)
	if err := syscall.Kill(member.keeper, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	member.kill(t)

	next := startMember(t, folder)
	connect(t, next.address)
	if next.keeper == member.keeper {
		t.Error("a dead keeper was joined")
	}
	next.leave(t)
	expectNothingLeft(t, folder, next.keeper, postmaster)
}

func TestAFolderLeftByAnotherRunIsSweptAway(t *testing.T) {
	t.Parallel()
	folder, other := freshFolder(t), freshFolder(t)
	if err := os.MkdirAll(filepath.Join(other, clusterName, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	member := startMember(t, folder)
	member.leave(t)
	expectNothingLeft(t, other, 0, 0)
}

func TestAFolderThatIsNotOursIsLeftAlone(t *testing.T) {
	t.Parallel()
	folder := freshFolder(t)
	if err := os.WriteFile(folder, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(folder) })
	if _, err := join(t.Context(), folder); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("joined a server in a file: %v", err)
	}
}

func TestMembersAreToldWhyThereIsNoServer(t *testing.T) {
	t.Parallel()
	folder := freshFolder(t)
	lock, err := claim(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, clusterName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	keeper, err := spawnKeeper(t.Context(), folder, lock)
	if err != nil {
		t.Fatal(err)
	}
	_, err = join(t.Context(), folder)
	var refused *refusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got %v", err)
	}
	_ = keeper.Wait() // it could not clear up either
	_ = os.RemoveAll(folder)
}

func TestAKeeperThatFailedAtOnceWaitsForWhoStartedIt(t *testing.T) {
	t.Parallel()
	k := &keeper{members: map[*guest]bool{}}
	joined, left, started := make(chan *guest), make(chan *guest), make(chan outcome, 1)
	started <- outcome{err: errors.New("broken")}
	over := make(chan struct{})
	go func() {
		defer close(over)
		k.serve(t.Context(), joined, left, started)
	}()
	g := &guest{conn: &net.UnixConn{}} // whose writes fail
	for _, step := range []chan<- *guest{joined, left} {
		select {
		case step <- g:
		case <-over:
			t.Fatal("it did not wait to be asked")
		}
	}
	<-over
}

func TestNewcomersWaitOutATeardown(t *testing.T) {
	t.Parallel()
	folder := freshFolder(t)
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			for range 4 {
				m, err := join(t.Context(), folder)
				if err != nil {
					return err
				}
				if err := administer(t.Context(), &m.server, `SELECT 1`); err != nil {
					return errors.Join(fmt.Errorf("the server is not there for a member: %w", err), m.leave())
				}
				if err := m.leave(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	expectNothingLeft(t, folder, 0, 0)
}

// process is a test binary that is a member.
type process struct {
	cmd     *exec.Cmd
	in      io.Closer
	out     *bufio.Reader
	pipe    *os.File
	keeper  int
	address string
}

func startMember(t *testing.T, folder string) *process {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	cmd.Env = append(os.Environ(), memberVariable+"="+folder)
	cmd.Stdout, cmd.Stderr = write, write
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	p := &process{cmd: cmd, in: in, pipe: read, out: bufio.NewReader(read)}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		_ = read.Close()
	})
	if err := read.SetReadDeadline(time.Now().Add(joinAtMost)); err != nil {
		t.Fatal(err)
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the member says nothing: %v", err)
	}
	if _, err := fmt.Sscan(line, &p.keeper, &p.address); err != nil {
		t.Fatalf("the member says %q", line)
	}
	return p
}

func (p *process) leave(t *testing.T) {
	t.Helper()
	_ = p.in.Close()
	p.drain(t)
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("the member failed: %v", err)
	}
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.drain(t)
	_ = p.cmd.Wait()
}

func (p *process) drain(t *testing.T) {
	t.Helper()
	rest, err := io.ReadAll(p.out)
	if err != nil || len(rest) > 0 {
		t.Fatalf("the member says %q, %v", rest, err)
	}
}

func freshFolder(t *testing.T) string {
	t.Helper()
	id := uuid.New()
	return filepath.Join(filepath.Dir(runFolder()), folderPrefix()+fmt.Sprintf("t%x", id[:4]))
}

func postmasterOf(t *testing.T, folder string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, clusterName, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// expectNothingLeft does not wait: whatever is to be gone is gone by now.
func expectNothingLeft(t *testing.T, folder string, pids ...int) {
	t.Helper()
	left, err := filepath.Glob(folder + "*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for _, pid := range pids {
		if pid != 0 && runs(pid) {
			t.Errorf("process %d is left behind", pid)
		}
	}
}
