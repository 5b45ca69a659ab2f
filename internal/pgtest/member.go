package pgtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// keeperVariable names the folder to the process that is to keep a server in it.
	keeperVariable = "ORDERLOG_PGTEST_KEEPER"

	pollEvery   = 10 * time.Millisecond
	leaveAtMost = 20 * time.Second
	exitAtMost  = time.Second
)

// greeting is the keeper's answer to a new member: one line of JSON.
type greeting struct {
	server
	Keeper int    `json:"keeper"` // process id
	Error  string `json:"error,omitempty"`
}

// stays is what the keeper says to a member that leaves when others are left. No word means that it is gone itself.
const stays = 's'

// member is one process's hold on the shared server. The open connection is the hold: the kernel lets go of it with the process.
type member struct {
	server
	conn    *net.UnixConn
	reader  *bufio.Reader
	keeper  int
	spawned *exec.Cmd
}

// join gets hold of the server of a folder, and starts a keeper for it where none is.
func join(ctx context.Context, folder string) (*member, error) {
	var spawned *exec.Cmd
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		m, err := dial(ctx, folder)
		if err == nil {
			m.spawned = spawned
			return m, nil
		}
		var refused *refusedError
		if errors.As(err, &refused) {
			return nil, err
		}
		if spawned != nil && !alive(folder) {
			return nil, fmt.Errorf("the process that keeps the tests' server has died: %s", keeperLog(folder))
		}
		if spawned == nil {
			lock, err := claim(ctx, folder)
			switch {
			case err == nil:
				if spawned, err = spawnKeeper(ctx, folder, lock); err != nil {
					return nil, err
				}
			case !errors.Is(err, errTaken):
				return nil, err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the tests' server in %s: %w: %s", folder, ctx.Err(), keeperLog(folder))
		}
	}
}

// refusedError: the keeper cannot give a server, and says why.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

// dial fails also when the keeper closes the connection without a word, as it does when it is about to go.
func dial(ctx context.Context, folder string) (_ *member, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(folder, socketName))
	if err != nil {
		return nil, err
	}
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.New("not a Unix socket")
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	// The keeper holds our output until it is done with us, and `go test` waits until nobody holds it. So it does not
	// return before the keeper is gone, even when this process crashes.
	if _, _, err := unix.WriteMsgUnix([]byte{'\n'}, syscall.UnixRights(int(os.Stdout.Fd()), int(os.Stderr.Fd())), nil); err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return nil, err
		}
	}
	m := &member{conn: unix, reader: bufio.NewReader(conn)}
	line, err := m.reader.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	var g greeting
	if err := json.Unmarshal(line, &g); err != nil {
		return nil, &refusedError{"the keeper is not of this version: " + err.Error()}
	}
	if g.Error != "" {
		return nil, &refusedError{g.Error}
	}
	m.server, m.keeper = g.server, g.Keeper
	return m, conn.SetReadDeadline(time.Time{})
}

// leave lets go of the server. Who is the last stays until the server, its keeper and their folder are gone.
func (m *member) leave() error {
	defer m.conn.Close()
	if err := m.conn.SetReadDeadline(time.Now().Add(leaveAtMost)); err != nil {
		return fmt.Errorf("leave the tests' server: %w", err)
	}
	if err := m.conn.CloseWrite(); err == nil {
		word, err := m.reader.ReadByte()
		if err == nil && word == stays {
			return nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("the process that keeps the tests' server does not end")
		}
	}
	if m.spawned != nil {
		// Its exit code says whether it could clear up.
		if err := m.spawned.Wait(); err != nil {
			return fmt.Errorf("the process that kept the tests' server: %w", err)
		}
		return nil
	}
	awaitExit(m.keeper)
	return nil
}

// awaitExit waits for the last moment of a process that is not our child: its connections are closed already.
func awaitExit(pid int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(exitAtMost); time.Now().Before(deadline); <-tick.C {
		if !runs(pid) {
			return
		}
	}
}

// runs does not count a process that has ended and was only not collected yet by its parent, where the system shows it.
func runs(pid int) bool {
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil {
		return len(line) > 0
	}
	return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// spawnKeeper runs this test binary once more, as the keeper, with the lock in its hand. It has a session of its own and
// none of our streams, so it is neither ended with us nor waited for by whoever reads them.
func spawnKeeper(ctx context.Context, folder string, lock *os.File) (*exec.Cmd, error) {
	defer lock.Close() // the keeper's copy holds it from here on
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the test binary: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(folder, logName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the keeper's log: %w", err)
	}
	defer log.Close()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self) //nolint:gosec // this very program
	cmd.Env = append(os.Environ(), keeperVariable+"="+folder)
	cmd.Dir = folder
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the keeper of the tests' server: %w", err), clearFolder(ctx, folder))
	}
	return cmd, nil
}

// alive reports whether the keeper of a folder lives.
func alive(folder string) bool {
	if _, err := os.Stat(folder); err != nil {
		return false
	}
	lock, err := tryLock(filepath.Join(folder, lockName))
	if err != nil {
		return errors.Is(err, errTaken)
	}
	_ = lock.Close()
	return false
}

// keeperLog is the end of the keeper's log in one line.
func keeperLog(folder string) string {
	f, err := os.Open(filepath.Join(folder, logName))
	if err != nil {
		return "it left no log"
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "; ")
}
