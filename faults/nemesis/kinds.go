package nemesis

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/orderlog/orderlog/faults/cluster"
)

// part is what a fault breaks. Two faults do not break the same part at the same time.
type part string

const (
	postgres part = "postgres"
	process  part = "process"  // of one node
	everyone part = "nodes"    // all nodes' processes
	database part = "database" // one node's way to PostgreSQL
	commits  part = "commits"  // on that way
	clients  part = "clients"  // the way of clients to one node
	clocks   part = "clock"    // of one node
)

// ofNode says whether there is one of the part in each node.
func (p part) ofNode() bool { return p != postgres && p != everyone }

// kind is a way to break something. begin breaks it; what it returns mends it and may add how much was broken.
type kind struct {
	name        string
	part        part
	least, most time.Duration // that it lasts
	begin       func(ctx context.Context, c *cluster.Cluster, f Fault) (end func() (detail string, err error), err error)
}

// clockSteps are how far clocks are set: by less and by more than what tokens and caches allow for.
var clockSteps = []time.Duration{2 * time.Second, 90 * time.Second, time.Hour}

func kinds() []kind {
	const s = time.Second
	return []kind{
		{"node.kill", process, s / 2, 3 * s, func(_ context.Context, c *cluster.Cluster, f Fault) (func() (string, error), error) {
			c.Kill(f.Node)
			return func() (string, error) { return "", c.StartNode(f.Node) }, nil
		}},
		{"node.stop", process, s / 2, 2 * s, func(_ context.Context, c *cluster.Cluster, f Fault) (func() (string, error), error) {
			began := time.Now()
			c.Stop(f.Node)
			took := time.Since(began).Round(10 * time.Millisecond)
			return func() (string, error) { return fmt.Sprintf("it took %v to stop", took), c.StartNode(f.Node) }, nil
		}},
		{"node.pause", process, s, 5 * s, func(_ context.Context, c *cluster.Cluster, f Fault) (func() (string, error), error) {
			c.Pause(f.Node)
			return nothing(func() { c.Resume(f.Node) }), nil
		}},
		{"nodes.restart", everyone, s / 2, 2 * s, func(ctx context.Context, c *cluster.Cluster, _ Fault) (func() (string, error), error) {
			for n := range c.Nodes() {
				c.Kill(n)
			}
			c.KillPostgres()
			return func() (string, error) {
				for n := range c.Nodes() {
					if err := c.StartNode(n); err != nil {
						return "", err
					}
				}
				return "", c.StartPostgres(ctx)
			}, nil
		}},
		{"postgres.kill", postgres, s / 2, 3 * s, down((*cluster.Cluster).KillPostgres)},
		{"postgres.immediate", postgres, s / 2, 3 * s, down((*cluster.Cluster).ShutdownImmediate)},
		{"postgres.restart", postgres, s / 2, 3 * s, down((*cluster.Cluster).StopPostgres)},
		{"postgres.crash", postgres, s, 2 * s, func(ctx context.Context, c *cluster.Cluster, _ Fault) (func() (string, error), error) {
			n, err := c.CrashBackend(ctx)
			return func() (string, error) { return fmt.Sprintf("%d connections", n), c.StartPostgres(ctx) }, err
		}},
		{"postgres.pause", postgres, s, 5 * s, func(_ context.Context, c *cluster.Cluster, _ Fault) (func() (string, error), error) {
			c.PausePostgres()
			return nothing(c.ResumePostgres), nil
		}},
		{"disk.full", postgres, s, 3 * s, func(ctx context.Context, c *cluster.Cluster, _ Fault) (func() (string, error), error) {
			err := c.FillDisk()
			return func() (string, error) {
				if err := c.FreeDisk(); err != nil {
					return "", err
				}
				return "", c.StartPostgres(ctx)
			}, err
		}},
		{"connections.exhausted", postgres, s, 3 * s, func(ctx context.Context, c *cluster.Cluster, _ Fault) (func() (string, error), error) {
			n, err := c.ExhaustConnections(ctx)
			return func() (string, error) {
				c.ReleaseConnections(ctx)
				return fmt.Sprintf("%d were taken", n), nil
			}, err
		}},
		{"listen.kill", postgres, 0, 0, func(ctx context.Context, c *cluster.Cluster, _ Fault) (func() (string, error), error) {
			n, err := c.KillListeners(ctx)
			return connections(n), err
		}},
		{"backends.kill", postgres, 0, 0, func(ctx context.Context, c *cluster.Cluster, _ Fault) (func() (string, error), error) {
			n, err := c.KillBackends(ctx)
			return connections(n), err
		}},
		{"database.cut", database, s, 4 * s, worsened(cluster.Database, (*cluster.Cluster).Cut)},
		{"database.slow", database, s, 4 * s, func(_ context.Context, c *cluster.Cluster, f Fault) (func() (string, error), error) {
			c.Slow(cluster.Database, f.Node, f.Amount)
			return mended(c, cluster.Database, f), nil
		}},
		{"database.halfopen", database, s, 5 * s, worsened(cluster.Database, (*cluster.Cluster).HalfOpen)},
		{"commit.before", commits, 2 * s, 4 * s, cut((*cluster.Cluster).CutBeforeCommits)},
		{"commit.after", commits, 2 * s, 4 * s, cut((*cluster.Cluster).CutAfterCommits)},
		{"clients.cut", clients, s / 2, 3 * s, worsened(cluster.Clients, (*cluster.Cluster).Cut)},
		{"clients.drop", clients, 0, 0, func(_ context.Context, c *cluster.Cluster, f Fault) (func() (string, error), error) {
			return nothing(func() {}), c.Drop(cluster.Clients, f.Node)
		}},
		{"clients.reset", clients, s / 2, 2 * s, worsened(cluster.Clients, (*cluster.Cluster).Reset)},
		{"clients.slow", clients, s, 4 * s, func(_ context.Context, c *cluster.Cluster, f Fault) (func() (string, error), error) {
			c.Slow(cluster.Clients, f.Node, f.Amount)
			return mended(c, cluster.Clients, f), nil
		}},
		{"clients.halfopen", clients, s, 5 * s, worsened(cluster.Clients, (*cluster.Cluster).HalfOpen)},
		{"clock.forward", clocks, s, 4 * s, set(+1)},
		{"clock.back", clocks, s, 4 * s, set(-1)},
	}
}

// Kinds are the names of all kinds of faults.
func Kinds() (names []string) {
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

func kindOf(name string) kind {
	all := kinds()
	return all[slices.IndexFunc(all, func(k kind) bool { return k.name == name })]
}

func nothing(end func()) func() (string, error) {
	return func() (string, error) {
		end()
		return "", nil
	}
}

func connections(n int) func() (string, error) {
	return func() (string, error) { return fmt.Sprintf("%d connections", n), nil }
}

func worsened(w cluster.Way, begin func(*cluster.Cluster, cluster.Way, int)) func(context.Context, *cluster.Cluster, Fault) (func() (string, error), error) {
	return func(_ context.Context, c *cluster.Cluster, f Fault) (func() (string, error), error) {
		begin(c, w, f.Node)
		return mended(c, w, f), nil
	}
}

func mended(c *cluster.Cluster, w cluster.Way, f Fault) func() (string, error) {
	return func() (string, error) { return "", c.Mend(w, f.Node) }
}

func down(stop func(*cluster.Cluster)) func(context.Context, *cluster.Cluster, Fault) (func() (string, error), error) {
	return func(ctx context.Context, c *cluster.Cluster, _ Fault) (func() (string, error), error) {
		stop(c)
		return func() (string, error) { return "", c.StartPostgres(ctx) }, nil
	}
}

// commitAtMost is how much longer a way is broken at whose commits none was cut yet: another fault may hold them all up.
const commitAtMost = 10 * time.Second

func cut(begin func(*cluster.Cluster, int)) func(context.Context, *cluster.Cluster, Fault) (func() (string, error), error) {
	return func(ctx context.Context, c *cluster.Cluster, f Fault) (func() (string, error), error) {
		begin(c, f.Node)
		return func() (string, error) {
			ctx, cancel := context.WithTimeout(ctx, commitAtMost)
			defer cancel()
			for c.CommitsCut(f.Node) == 0 && wait(ctx, 50*time.Millisecond) == nil {
			}
			return fmt.Sprintf("at %d commits", c.SpareCommits(f.Node)), nil
		}, nil
	}
}

func set(direction time.Duration) func(context.Context, *cluster.Cluster, Fault) (func() (string, error), error) {
	return func(_ context.Context, c *cluster.Cluster, f Fault) (func() (string, error), error) {
		end := func() (string, error) { return fmt.Sprintf("by %v", f.Amount), c.SetClock(f.Node, 0) }
		return end, c.SetClock(f.Node, direction*f.Amount)
	}
}
