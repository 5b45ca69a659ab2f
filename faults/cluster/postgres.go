package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/child"
	"github.com/orderlog/orderlog/internal/localpg"
)

const (
	role          = "orderlog"
	database      = "orderlog"
	superuser     = "postgres"
	maxConns      = 90
	orderlyAtMost = 30 * time.Second
	readyAtMost   = 2 * time.Minute
	tryEvery      = 50 * time.Millisecond
	exhaustAtMost = 3 * time.Second
	connectAtMost = 10 * time.Second
)

// postgres is a PostgreSQL of our own, which may be treated in every way.
type postgres struct {
	tools    localpg.Tools
	home     string // data and, on a disk of its own, what fills it
	log      string
	port     string
	password string

	mu   sync.Mutex // held while it is started or stopped
	proc *child.Process

	held []*pgx.Conn // connections that are there to keep others out
}

// newPostgres makes a cluster in home, which belongs to whom its programs run as, and starts it. One that was started is also returned
// with an error: it is to be stopped.
func newPostgres(ctx context.Context, home, log, password string, tools localpg.Tools) (*postgres, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	p := &postgres{tools: tools, home: home, log: log, port: port, password: password}
	secret := filepath.Join(home, "secret")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return nil, err
	}
	if who := tools.Account; who != nil {
		if err := os.Chown(secret, int(who.Uid), int(who.Gid)); err != nil {
			return nil, err
		}
	}
	cmd := p.command(ctx, "initdb", "--pgdata", p.data(), "--username", superuser, "--encoding", "UTF8", "--locale", "C",
		"--auth", "password", "--pwfile", secret, "--data-checksums", "--no-instructions", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	if err := p.Start(ctx); err != nil {
		return p, err
	}
	return p, p.administer(ctx, "postgres", func(c *pgx.Conn) error {
		for _, sql := range []string{
			`CREATE ROLE ` + role + ` LOGIN PASSWORD '` + password + `'`,
			`CREATE DATABASE ` + database + ` OWNER ` + role,
		} {
			if _, err := c.Exec(ctx, sql); err != nil {
				return fmt.Errorf("make the database: %w", err)
			}
		}
		return nil
	})
}

func (p *postgres) data() string { return filepath.Join(p.home, "data") }

func (p *postgres) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.tools.Folder, name), args...) //nolint:gosec // a program that was looked for
	cmd.Dir = p.home
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.tools.Account, Setpgid: true}
	return cmd
}

func (p *postgres) address() string { return "127.0.0.1:" + p.port }

// url is the way to a database for a role; through is where it is reached.
func (p *postgres) url(as, name, through string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(as, p.password), Host: through, Path: name, RawQuery: "sslmode=disable"}
	return u.String()
}

// Start starts the server unless it runs, and waits until it takes connections.
func (p *postgres) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyAtMost)
	defer cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		// It may also end while it starts: what an earlier one left has to end first, a full disk to be freed.
		if p.proc == nil || !p.proc.Alive() {
			if err := p.spawn(); err != nil {
				return err
			}
		}
		c, err := p.connect(ctx, superuser, "postgres")
		if err == nil {
			return c.Close(ctx)
		}
		if wait(ctx, tryEvery) != nil {
			return fmt.Errorf("PostgreSQL does not start, see %s: %w", p.log, errors.Join(ctx.Err(), err))
		}
	}
}

func (p *postgres) spawn() error {
	log, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := p.command(context.Background(), "postgres", "-D", p.data(), "-p", p.port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections="+strconv.Itoa(maxConns),
		"-c", "shared_buffers=64MB", "-c", "max_wal_size=160MB", "-c", "log_line_prefix=%m [%p] ", "-c", "autovacuum_naptime=5s")
	cmd.Stdout, cmd.Stderr = log, log
	p.proc, err = child.Start(cmd, syscall.SIGKILL)
	return err
}

// Stop ends the server: with SIGINT in order, with SIGQUIT at once, with SIGKILL as when the machine dies.
func (p *postgres) Stop(how syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc == nil {
		return
	}
	rest := children(p.proc.PID())
	_ = p.proc.Signal(how)
	if how == syscall.SIGKILL {
		for _, pid := range rest {
			_ = syscall.Kill(pid, how)
		}
	}
	if !p.proc.Await(orderlyAtMost) {
		p.proc.Kill()
	}
}

// signalAll sends a signal to the server's processes, to the first of them first.
func (p *postgres) signalAll(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc == nil || !p.proc.Alive() {
		return
	}
	_ = p.proc.Signal(s)
	for _, pid := range children(p.proc.PID()) {
		_ = syscall.Kill(pid, s)
	}
}

// crash kills one of the server's processes that serve a node, if there is one: the server ends all others and recovers.
func (p *postgres) crash(ctx context.Context) (n int, err error) {
	err = p.administer(ctx, database, func(c *pgx.Conn) error {
		var pid int
		err := c.QueryRow(ctx, `SELECT pid FROM pg_stat_activity WHERE usename = $1 ORDER BY backend_start LIMIT 1`, role).Scan(&pid)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		n = 1
		return syscall.Kill(pid, syscall.SIGKILL)
	})
	return n, err
}

// terminate ends the nodes' connections for which a condition over pg_stat_activity holds, and says how many.
func (p *postgres) terminate(ctx context.Context, where string) (n int, err error) {
	err = p.administer(ctx, database, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1 AND `+where, role).Scan(&n)
	})
	return n, err
}

// exhaust takes all connections, also those that the nodes have, until release is called. It tries for a moment: the nodes
// take some of what becomes free.
func (p *postgres) exhaust(ctx context.Context) (taken int, err error) {
	if _, err := p.terminate(ctx, "application_name <> 'faults'"); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, exhaustAtMost)
	defer cancel()
	for ctx.Err() == nil {
		conn, err := p.connect(ctx, role, database)
		if err != nil { // there is none left, or it is too busy with the nodes
			_ = wait(ctx, tryEvery)
			continue
		}
		p.held = append(p.held, conn)
	}
	return len(p.held), nil
}

func (p *postgres) release(ctx context.Context) {
	for _, c := range p.held {
		_ = c.Close(ctx)
	}
	p.held = nil
}

func (p *postgres) connect(ctx context.Context, as, name string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(p.url(as, name, p.address()))
	if err != nil {
		return nil, err
	}
	cfg.ConnectTimeout = 5 * time.Second
	cfg.RuntimeParams["application_name"] = "faults"
	return pgx.ConnectConfig(ctx, cfg)
}

// administer does something as the superuser, for whom connections are kept free. It tries for a while to connect: what was
// broken before may not be over yet.
func (p *postgres) administer(ctx context.Context, name string, do func(*pgx.Conn) error) error {
	patience, cancel := context.WithTimeout(ctx, connectAtMost)
	defer cancel()
	c, err := p.connect(patience, superuser, name)
	for err != nil {
		if wait(patience, tryEvery) != nil {
			return err
		}
		c, err = p.connect(patience, superuser, name)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	return do(c)
}

// wait waits unless ctx ends before.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
