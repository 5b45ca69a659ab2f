package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Kill ends a node as kill -9 does.
func (c *Cluster) Kill(n int) { c.nodes[n].halt(syscall.SIGKILL) }

// Stop asks a node to stop and waits until it has. One that was only just started is let listen first: until a program has
// come to minding signals they end it as they end any.
func (c *Cluster) Stop(n int) {
	c.nodes[n].awaitListening()
	c.nodes[n].halt(syscall.SIGTERM)
}

// StartNode starts a node that was killed or stopped; one that runs is left alone.
func (c *Cluster) StartNode(n int) error { return c.nodes[n].start() }

// Pause freezes a node's process.
func (c *Cluster) Pause(n int) { c.nodes[n].signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (c *Cluster) Resume(n int) { c.nodes[n].signal(syscall.SIGCONT) }

// SetClock moves a node's clock to as much before (or behind) the machine's.
func (c *Cluster) SetClock(n int, offset time.Duration) error { return c.nodes[n].clock.set(offset) }

// Way is one that messages take over the network.
type Way int

const (
	// Clients is the way of a node's clients to it.
	Clients Way = iota
	// Database is a node's way to PostgreSQL.
	Database
)

func (c *Cluster) way(w Way, n int) *proxy {
	if w == Clients {
		return c.nodes[n].clients
	}
	return c.nodes[n].store
}

// Cut ends all of a way's connections, and refuses new ones until it is mended.
func (c *Cluster) Cut(w Way, n int) { c.way(w, n).cut() }

// Drop ends all of a way's connections once.
func (c *Cluster) Drop(w Way, n int) error { return c.way(w, n).drop() }

// Slow makes a way slow and its messages come in pieces until it is mended.
func (c *Cluster) Slow(w Way, n int, latency time.Duration) {
	c.way(w, n).worsen(func(t *trouble) { t.latency = latency })
}

// HalfOpen swallows what a way's connections carry, which nobody is told, until it is mended.
func (c *Cluster) HalfOpen(w Way, n int) {
	c.way(w, n).worsen(func(t *trouble) { t.swallow = true })
}

// Reset ends each of a way's connections without a word once something is sent, until it is mended.
func (c *Cluster) Reset(w Way, n int) {
	c.way(w, n).worsen(func(t *trouble) { t.reset = true })
}

// Mend takes back what was done to a way.
func (c *Cluster) Mend(w Way, n int) error { return c.way(w, n).mend() }

// CutBeforeCommits cuts a node's connections to the database each third time that a commit is about to go to it.
func (c *Cluster) CutBeforeCommits(n int) { c.nodes[n].store.gate.set(beforeCommit) }

// CutAfterCommits cuts them when the commit has gone to the database and before its answer comes.
func (c *Cluster) CutAfterCommits(n int) { c.nodes[n].store.gate.set(afterCommit) }

// CommitsCut is at how many commits a node's connections were cut so far.
func (c *Cluster) CommitsCut(n int) int { return c.nodes[n].store.gate.count() }

// SpareCommits ends both and says how many were cut.
func (c *Cluster) SpareCommits(n int) (cut int) { return c.nodes[n].store.gate.set(nowhere) }

// KillPostgres ends PostgreSQL as a machine that dies would.
func (c *Cluster) KillPostgres() { c.postgres.Stop(syscall.SIGKILL) }

// ShutdownImmediate ends PostgreSQL without letting it write anything more.
func (c *Cluster) ShutdownImmediate() { c.postgres.Stop(syscall.SIGQUIT) }

// StopPostgres ends PostgreSQL in order; what is under way is rolled back.
func (c *Cluster) StopPostgres() { c.postgres.Stop(syscall.SIGINT) }

// StartPostgres starts it unless it runs, and waits until it takes connections.
func (c *Cluster) StartPostgres(ctx context.Context) error { return c.postgres.Start(ctx) }

// CrashBackend kills one of PostgreSQL's processes, upon which it ends all others and recovers. It says how many it killed:
// while no node is connected there is none.
func (c *Cluster) CrashBackend(ctx context.Context) (int, error) { return c.postgres.crash(ctx) }

// PausePostgres freezes all of its processes.
func (c *Cluster) PausePostgres() { c.postgres.signalAll(syscall.SIGSTOP) }

// ResumePostgres lets them go on.
func (c *Cluster) ResumePostgres() { c.postgres.signalAll(syscall.SIGCONT) }

// CannotFill says why the disk cannot be filled here; empty when it can.
func (c *Cluster) CannotFill() string { return c.disk.why }

// FillDisk leaves PostgreSQL no room.
func (c *Cluster) FillDisk() error { return c.disk.fill() }

// FreeDisk gives it back.
func (c *Cluster) FreeDisk() error { return c.disk.free() }

// ExhaustConnections takes the database's connections, also those that the nodes have, and says how many it has.
func (c *Cluster) ExhaustConnections(ctx context.Context) (int, error) {
	return c.postgres.exhaust(ctx)
}

// ReleaseConnections gives them back.
func (c *Cluster) ReleaseConnections(ctx context.Context) { c.postgres.release(ctx) }

// KillListeners ends the connections on which nodes hear of what is new, and says how many those were.
func (c *Cluster) KillListeners(ctx context.Context) (int, error) {
	return c.postgres.terminate(ctx, `query ILIKE 'LISTEN%'`)
}

// KillBackends ends all of the nodes' connections, and says how many those were.
func (c *Cluster) KillBackends(ctx context.Context) (int, error) {
	return c.postgres.terminate(ctx, "true")
}

// Heal takes back everything at once.
func (c *Cluster) Heal(ctx context.Context) error {
	c.ResumePostgres()
	c.ReleaseConnections(ctx)
	err := c.FreeDisk()
	for n := range c.nodes {
		c.Resume(n)
		c.SpareCommits(n)
		if e := errors.Join(c.SetClock(n, 0), c.Mend(Clients, n), c.Mend(Database, n)); e != nil {
			err = errors.Join(err, fmt.Errorf("heal node %d: %w", n, e))
		}
	}
	err = errors.Join(err, c.StartPostgres(ctx))
	for n := range c.nodes {
		err = errors.Join(err, c.StartNode(n))
	}
	return err
}
