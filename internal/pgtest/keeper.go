package pgtest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/orderlog/orderlog/internal/localpg"
)

const (
	// linger is how long the server outlives its last member, for a package that is still being compiled. The last member
	// waits with it, so it is also what a run takes longer at its end; a new server would take about 1.5 s.
	linger = 400 * time.Millisecond
	// firstAtMost bounds the wait for the first member, who started us and may have died since.
	firstAtMost = 10 * time.Second
	clearAtMost = 10 * time.Second
)

// settings trade the safety that no test needs for speed. synchronous_commit stays as in production, since tests ask for it.
func settings() map[string]string {
	return map[string]string{
		"fsync":              "off",
		"full_page_writes":   "off",
		"autovacuum":         "off", // it would only get in the way of the tests' own timing
		"checkpoint_timeout": "1h",
		"max_wal_size":       "512MB", // it is in memory, perhaps
		"max_connections":    "400",
		// In the cluster's folder, so that no segment is left where nobody looks, however the server ends.
		"dynamic_shared_memory_type": "mmap",
	}
}

// keeper runs a server for its members. Everything but the reading of connections happens in run's goroutine.
type keeper struct {
	folder   string
	logger   *slog.Logger
	members  map[*guest]bool
	lingerer *guest // the last member, who waits for our end
	greeting []byte // nil until the server is up
	final    bool   // the server did not come up: greet and go
}

// guest is a member as the keeper sees it.
type guest struct {
	conn  *net.UnixConn
	files []int // its output, held for it
}

func (g *guest) dismiss(word ...byte) {
	_, _ = g.conn.Write(word) // it may be dead
	_ = g.conn.Close()
	for _, fd := range g.files {
		_ = syscall.Close(fd)
	}
}

// keep is the keeper's main function; its result is the exit code. The process exits right after it, and that is when
// the lock and the held connections and outputs are let go.
func keep(folder string) int {
	syscall.CloseOnExec(3) // the lock, which must not be held by PostgreSQL
	k := &keeper{
		folder:  folder,
		logger:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
		members: map[*guest]bool{},
	}
	if err := k.run(); err != nil {
		k.logger.Error("keeping the tests' server failed", "error", err)
		return 1
	}
	return 0
}

type outcome struct {
	server *localpg.Server
	err    error
}

func (k *keeper) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(k.folder, socketName), Net: "unix"})
	if err != nil {
		return errors.Join(err, clearFolder(ctx, k.folder))
	}
	joined, left := make(chan *guest), make(chan *guest)
	go accept(ctx, listener, joined, left)

	started := make(chan outcome, 1)
	go func() {
		sweep(ctx, k.folder)
		server, err := localpg.Start(ctx, localpg.Config{
			Dir: filepath.Join(k.folder, clusterName), Settings: settings(), NoSync: true,
			Elsewhere: []string{"/tmp", "/var/tmp"}, Logger: k.logger,
		})
		started <- outcome{server, err}
	}()
	result := k.serve(ctx, joined, left, started)

	_ = listener.Close() // newcomers turn to the next keeper, who waits until the folder is gone
	cancel()
	if result.server == nil && result.err == nil {
		result = <-started
	}
	err = nil
	if result.server != nil {
		// ctx is over, so the server is not asked to save anything.
		err = result.server.Stop(ctx)
	}
	clearing, done := context.WithTimeout(context.WithoutCancel(ctx), clearAtMost)
	defer done()
	return errors.Join(err, clearFolder(clearing, k.folder))
}

// serve looks after the members until none is left, and returns the server if it is up.
func (k *keeper) serve(ctx context.Context, joined, left <-chan *guest, started <-chan outcome) outcome {
	end := time.NewTimer(firstAtMost)
	defer end.Stop()
	var (
		result outcome
		died   <-chan struct{}
		met    bool // who started us waits to hear what went wrong
	)
	for {
		select {
		case g := <-joined:
			met = true
			end.Stop()
			k.admit(g)
		case g := <-left:
			if k.lose(g) {
				end.Reset(linger)
			}
		case result = <-started:
			k.greet(result)
			if result.server != nil {
				died = result.server.Done()
			}
		case <-died:
			k.logger.Error("the tests' server died", "error", result.server.Wait(ctx))
			return result
		case <-end.C:
			return result
		case <-ctx.Done():
			return result
		}
		if k.final && met && len(k.members) == 0 {
			return result
		}
	}
}

func (k *keeper) admit(g *guest) {
	if k.lingerer != nil {
		k.lingerer.dismiss(stays)
		k.lingerer = nil
	}
	k.members[g] = true
	if k.greeting != nil {
		_, _ = g.conn.Write(k.greeting) // if it is dead, it has left, and that is noticed
	}
}

// lose reports whether it was the last member. That one is held on to, so that it sees our end.
func (k *keeper) lose(g *guest) bool {
	delete(k.members, g)
	if len(k.members) > 0 {
		g.dismiss(stays)
		return false
	}
	k.lingerer = g
	return true
}

func (k *keeper) greet(result outcome) {
	g := greeting{Keeper: os.Getpid()}
	if result.err != nil {
		g.Error, k.final = result.err.Error(), true
	} else {
		g.server = server{Superuser: result.server.SuperuserURL("postgres"), Application: result.server.URL("postgres")}
	}
	line, err := json.Marshal(g)
	if err != nil {
		line = []byte(`{"error":"no greeting"}`)
	}
	k.greeting = slices.Concat(line, []byte("\n"))
	for g := range k.members {
		_, _ = g.conn.Write(k.greeting)
	}
}

// accept reports members as they come and go. It ends with the listener; the process ends soon after.
func accept(ctx context.Context, listener *net.UnixListener, joined, left chan<- *guest) {
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		go attend(ctx, conn, joined, left)
	}
}

func attend(ctx context.Context, conn *net.UnixConn, joined, left chan<- *guest) {
	g := &guest{conn: conn}
	buf, oob := make([]byte, 1), make([]byte, syscall.CmsgSpace(2*4))
	_, n, _, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		_ = conn.Close()
		return
	}
	g.files = receivedFiles(oob[:n])
	for _, report := range []chan<- *guest{joined, left} {
		select {
		case report <- g:
		case <-ctx.Done():
			return // the exit of the process lets go of it
		}
		_, _ = conn.Read(buf) // a member says nothing more: this returns when it leaves or dies
	}
}

func receivedFiles(oob []byte) []int {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	var files []int
	for i := range messages {
		if fds, err := syscall.ParseUnixRights(&messages[i]); err == nil {
			files = append(files, fds...)
		}
	}
	return files
}
