package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/orderlog/orderlog/bench/peers/peer"
)

// server is a process that is measured.
type server struct {
	name    string
	speaks  dialect
	address string
	pid     int
	stop    func()
	next    int // the number of the next event that it publishes
}

// startOurs starts this program once more, as a server; with a database, from the notification log that is in there.
func startOurs(databaseURL string) (*server, error) {
	cmd, err := ourself(databaseURL)
	if err != nil {
		return nil, err
	}
	return startServer("orderlog", batchDialect, cmd)
}

// startPeer starts one of the servers in peers/.
func startPeer(ctx context.Context, name string, speaks dialect, args ...string) (*server, error) {
	path, err := built(ctx, name, ".", "./peers/"+name)
	if err != nil {
		return nil, err
	}
	return startServer(name, speaks, exec.Command(path, args...)) //nolint:noctx // it is interrupted, not killed
}

func startServer(name string, speaks dialect, cmd *exec.Cmd) (*server, error) {
	cmd.Stderr = os.Stderr
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	address, stop, err := startListening(cmd, said)
	if err != nil {
		return nil, err
	}
	return &server{name: name, speaks: speaks, address: address, pid: cmd.Process.Pid, stop: stop, next: 1}, nil
}

func (s *server) host() string { return strings.TrimPrefix(s.address, "http://") }

// publish has the server publish the next events as planned. It returns when all have been given to what delivers them.
func (s *server) publish(ctx context.Context, p peer.Plan) error {
	s.next = p.From + p.Messages
	return s.post(ctx, "/publish?"+p.Query())
}

// settle has the server give back the memory that it does not use.
func (s *server) settle(ctx context.Context) error { return s.post(ctx, "/settle") }

func (s *server) post(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address+path, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", s.name, res.Status)
	}
	return nil
}

// resident is what the server has in memory, in bytes.
func (s *server) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		return 0, err
	}
	var kilobytes int64
	_, line, found := strings.Cut(string(status), "VmRSS:")
	if !found {
		return 0, errors.New("the system does not say how much memory a process has")
	}
	_, err = fmt.Sscan(line, &kilobytes)
	return kilobytes << 10, err
}

// cost is the processor time that something took of the server, and of this program, which has to take less.
type cost struct{ server, own time.Duration }

func (c cost) per(n int) cost { return cost{c.server / time.Duration(n), c.own / time.Duration(n)} }

func (c cost) String() string { return fmt.Sprintf("%s/%s", c.server, c.own) }

// costs returns what do costs.
func (s *server) costs(do func() error) (c cost, err error) {
	look := func() (c cost, err error) {
		var own syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
			return cost{}, err
		}
		c.server, err = s.worked()
		c.own = time.Duration(own.Utime.Nano() + own.Stime.Nano())
		return c, err
	}
	before, err := look()
	if err != nil {
		return cost{}, err
	}
	if err := do(); err != nil {
		return cost{}, err
	}
	after, err := look()
	return cost{after.server - before.server, after.own - before.own}, err
}

// worked is how much processor time the server has had.
func (s *server) worked() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name is in brackets; the times are the 14th and 15th fields
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("the system does not say how much a process worked")
	}
	const tick = 10 * time.Millisecond
	var sum time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}
