// Package cluster runs several nodes of the program on one PostgreSQL and breaks them, the database and the network between
// all of them, in every way that package nemesis asks for.
//
// It touches nothing that it has not started itself: not the machine's clock, not its network, not its disks.
package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/orderlog/orderlog/faults/patch"
	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/internal/localpg"
)

// Config is what a cluster is made of.
type Config struct {
	Module  string // the folder of the program's sources
	Dir     string // for logs and what is built; it stays
	Nodes   int
	Span    time.Duration // how long it will be used, for the size of the database's disk
	Patches []patch.Patch // of the program
	Environ []string      // of the nodes, NAME=VALUE, beside what they need to run
}

// Cluster is a running one. Its methods may be used concurrently for different nodes and ways.
type Cluster struct {
	program  string
	secret   string
	home     string // of the database, with its disk
	disk     *disk
	postgres *postgres
	nodes    []*node
}

// Start builds the program and starts PostgreSQL and the nodes, which may need some more time until they are ready.
func Start(ctx context.Context, cfg Config) (_ *Cluster, err error) {
	c := &Cluster{secret: rand.Text() + rand.Text()}
	if c.program, err = Build(ctx, cfg.Module, cfg.Dir, append(slices.Clone(settableClock), cfg.Patches...)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if err = c.makePostgres(ctx, cfg.Dir, cfg.Span); err != nil {
		return nil, err
	}
	audit, _, err := config.GenerateAuditKey()
	if err != nil {
		return nil, err
	}
	for number := range cfg.Nodes {
		n, err := c.newNode(number, cfg, audit)
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, n)
		if err := n.start(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// makePostgres starts PostgreSQL on a disk of its own. What there is of them is Close's to end, also with an error.
func (c *Cluster) makePostgres(ctx context.Context, logs string, span time.Duration) (err error) {
	// Not below logs, which may be where PostgreSQL's user may not go.
	if c.home, err = os.MkdirTemp("", "orderlog-faults-"); err != nil {
		return err
	}
	if err := os.Chmod(c.home, 0o711); err != nil { //nolint:gosec // to be passed through
		return err
	}
	tools, err := localpg.FindTools(ctx, c.home, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if c.disk, err = newDisk(filepath.Join(c.home, "disk"), span, tools.Account); err != nil {
		return err
	}
	c.postgres, err = newPostgres(ctx, c.disk.folder, filepath.Join(logs, "postgres.log"), rand.Text(), tools)
	return err
}

func (c *Cluster) newNode(number int, cfg Config, auditKey string) (n *node, err error) {
	name := fmt.Sprintf("node-%d", number)
	n = &node{number: number, program: c.program, log: filepath.Join(cfg.Dir, name+".log")}
	if n.clock, err = newClock(filepath.Join(cfg.Dir, name+".clock")); err != nil {
		return nil, err
	}
	if n.address, err = freeAddress(); err != nil {
		return nil, err
	}
	if n.clients, err = newProxy(n.address, nil); err != nil {
		return nil, err
	}
	if n.store, err = newProxy(c.postgres.address(), new(gate)); err != nil {
		return nil, err
	}
	n.environ = append(c.environ(c.postgres.url(role, database, n.store.address()), filepath.Join(cfg.Dir, name)),
		"AUDIT_KEY="+auditKey, "PORT="+n.address[len("127.0.0.1:"):], clockVariable+"="+n.clock.file.Name())
	n.environ = append(n.environ, cfg.Environ...)
	return n, nil
}

// environ is what the program needs to work on a database.
func (c *Cluster) environ(databaseURL, dataDir string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GOTRACEBACK=all", "DATABASE_URL=" + databaseURL, "DATA_DIR=" + dataDir,
		"JWT_SECRET=" + c.secret, "PAYMENT_WEBHOOK_SECRET=" + c.secret, "HOST=127.0.0.1", "LOG_FORMAT=text",
		"RATE_LIMIT_USER=0", "RATE_LIMIT_ADDRESS=0",
	}
}

// Program is the path of the program that was built, and Environ what it needs to work on the cluster's database from
// outside, past the proxies.
func (c *Cluster) Program() string { return c.program }

// Environ is the environment for Program.
func (c *Cluster) Environ() []string {
	return c.environ(c.DatabaseURL(), filepath.Join(filepath.Dir(c.program), "tools"))
}

// Secret is what tokens and the payment provider's events are signed with.
func (c *Cluster) Secret() []byte { return []byte(c.secret) }

// Nodes is how many there are; they are counted from 0.
func (c *Cluster) Nodes() int { return len(c.nodes) }

// URL is where clients reach a node, through a proxy. It stays the same when the node is started again.
func (c *Cluster) URL(n int) string { return "http://" + c.nodes[n].clients.address() }

// Direct is where the node listens itself.
func (c *Cluster) Direct(n int) string { return "http://" + c.nodes[n].address }

// PID is the node's process, 0 while it does not run.
func (c *Cluster) PID(n int) int { return c.nodes[n].pid() }

// DatabaseURL is the way to the database, as the role that the nodes have, past all proxies.
func (c *Cluster) DatabaseURL() string { return c.postgres.url(role, database, c.postgres.address()) }

// AwaitReady waits until all nodes say that they are ready, however long they have been up.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	for n := range c.nodes {
		for !c.ready(ctx, n) {
			if err := wait(ctx, tryEvery); err != nil {
				return fmt.Errorf("node %d is not ready, see %s: %w", n, c.nodes[n].log, err)
			}
		}
	}
	return nil
}

func (c *Cluster) ready(ctx context.Context, n int) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Direct(n)+"/ready", http.NoBody)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// Complaints are what the nodes themselves show to be wrong: that they panicked, ended by themselves, or did not stop.
func (c *Cluster) Complaints() (all []string) {
	for _, n := range c.nodes {
		n.complaints.Lock()
		all = append(all, n.complaints.list...)
		n.complaints.Unlock()
		all = append(all, n.panics()...)
	}
	return all
}

// Close ends everything and leaves nothing but the logs. It may be called at any time.
func (c *Cluster) Close() error {
	var err error
	for _, n := range c.nodes {
		n.halt(syscall.SIGKILL)
		n.clients.cut()
		n.store.cut()
		err = errors.Join(err, n.clock.close())
	}
	if c.postgres != nil {
		c.postgres.release(context.Background())
		c.postgres.signalAll(syscall.SIGCONT)
		c.postgres.Stop(syscall.SIGKILL)
	}
	if c.disk != nil {
		removing, cancel := context.WithTimeout(context.Background(), orderlyAtMost)
		defer cancel()
		err = errors.Join(err, c.disk.remove(removing))
	}
	if c.home == "" || err != nil && c.disk != nil && c.disk.mounted {
		return err
	}
	return errors.Join(err, os.RemoveAll(c.home))
}
