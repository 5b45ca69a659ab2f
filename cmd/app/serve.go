package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/internal/door"
)

// drainTimeout bounds how long requests and connections may take to end when the program is told to stop.
const drainTimeout = 15 * time.Second

// serve runs a node until ctx ends: the server, the database if it is a private one, its schema, and the parts.
func serve(ctx context.Context, env environment, args []string) error {
	if err := parse(flag.NewFlagSet("serve", flag.ContinueOnError), args, 0, "serve"); err != nil {
		return err
	}
	cfg, err := config.Load(env.getenv)
	if err != nil {
		return err
	}
	log := cfg.Logger(env.stderr)

	// The address first: where it is taken, nothing else need be started.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr())
	if err != nil {
		return fmt.Errorf("%w: is another program listening there? Set PORT to another one", err)
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return errors.Join(fmt.Errorf("listen on %s: it is a %T", cfg.Addr(), listener), listener.Close())
	}
	front := newFront(tcp, log)
	front.bounds = door.Config{MostAddress: cfg.MaxAddressConnections, Proxies: cfg.TrustedProxies, Beside: nodeConns(cfg.DatabaseURL)}
	front.origins = cfg.ClientOrigins
	g, failed := errgroup.WithContext(ctx)
	g.Go(front.serve)
	g.Go(func() error { return serveNode(failed, env, cfg, front, log) })
	return g.Wait()
}

// serveNode brings a node to life behind the front, and ends both in order when ctx ends.
func serveNode(ctx context.Context, env environment, cfg config.Config, front *front, log *slog.Logger) (err error) {
	defer func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), front.patience)
		defer cancel()
		err = errors.Join(err, front.close(drain, 0))
	}()
	db, err := serveDatabase(ctx, cfg, log)
	if err != nil {
		return unlessBrokenOff(ctx, err, log)
	}
	defer func() { err = errors.Join(err, db.close(ctx)) }()
	if cfg, err = withKeys(cfg, log); err != nil {
		return err
	}
	if err := db.prepare(ctx, front, log); err != nil {
		return unlessBrokenOff(ctx, err, log)
	}
	pool, err := db.nodePool(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()

	// The parts outlive the signal: what is in flight is finished while the server drains.
	parts, stopParts := context.WithCancel(context.WithoutCancel(ctx))
	defer stopParts()
	n, err := newNode(parts, cfg, pool, log)
	if err != nil {
		return err
	}
	front.opens(n.handler)
	g, failed := errgroup.WithContext(parts)
	g.Go(func() error { return db.Run(failed) })
	g.Go(func() error { return n.Run(failed) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
			log.Info("stopping: connections are asked to come back to another node, or to this one later")
		case <-failed.Done():
		}
		defer stopParts()
		return leave(context.WithoutCancel(ctx), failed, n, front, cfg.DrainDelay)
	})
	g.Go(func() error {
		if n.settled(failed) {
			greet(env, cfg, front.listener.Addr())
		}
		return nil
	})
	return g.Wait()
}

// unlessBrokenOff forgets what is said about a start that was broken off, which is about that. What goes wrong on the way
// out of it is not.
func unlessBrokenOff(ctx context.Context, err error, log *slog.Logger) error {
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	log.Info("stopped before the node was ready")
	return nil
}

// leave takes the node out of service without cutting anything. Whoever watches /ready is told first, and may take delay to
// act on it; then the clients that stay connected are asked away; then nobody is let in any more, and those who keep their
// connections may take delay once more to send the request whose answer ends it.
func leave(ctx, failed context.Context, n *node, front *front, delay time.Duration) error {
	n.drain()
	select {
	case <-time.After(delay):
	case <-failed.Done():
	}
	ctx, cancel := context.WithTimeout(ctx, front.patience)
	defer cancel()
	return errors.Join(n.Shutdown(ctx), front.close(ctx, delay))
}

// withKeys adds what is generated and kept where it was not given.
func withKeys(cfg config.Config, log *slog.Logger) (config.Config, error) {
	cfg, err := config.EnsureSecrets(cfg)
	if err != nil {
		return cfg, err
	}
	if signing, err := config.EnsureAuditKey(cfg); err != nil {
		log.Warn("checkpoints of the log are not signed", "err", err)
	} else {
		if len(cfg.AuditKey) == 0 && !cfg.Embedded() {
			log.Warn("this node signs the audit's checkpoints with a key of its own: set AUDIT_KEY to have all nodes sign with one", "dir", cfg.DataDir)
		}
		cfg = signing
	}
	if len(cfg.PaymentWebhookSecret) == 0 {
		log.Warn("the payment provider's events will be refused: set PAYMENT_WEBHOOK_SECRET to the key that it signs with")
	}
	return cfg, nil
}

// greet says where the server is and what to do next.
func greet(env environment, cfg config.Config, addr net.Addr) {
	self := "app"
	if path, err := os.Executable(); err == nil {
		self = path
		if wd, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
				self = "./" + rel
			}
		}
	}
	fmt.Fprintf(env.stderr, "\nOrderlog is ready on http://%s\n", addr)
	if !cfg.Embedded() {
		return
	}
	fmt.Fprintf(env.stderr, `
Next, in a second terminal:
  %[1]s token --user ada --role admin            a token to try things with
  %[1]s listen --last-seq 0 --token TOKEN        every event that token may see, from the first on
  http://%[2]s/docs                     the API
The README's walk-through takes an order from the menu to the door. Ctrl-C stops the server; the data stays in %[3]s.

`, self, addr, cfg.DataDir)
}
