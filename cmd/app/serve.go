package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/delivery/sse"
	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/migrations"
)

// drainTimeout bounds how long requests and connections may take to end when the program is told to stop.
const drainTimeout = 15 * time.Second

// serve runs a node until ctx ends: the database if it is a private one, its schema, the parts, and the server.
func serve(ctx context.Context, env environment, args []string) (err error) {
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
	defer func() { _ = listener.Close() }() // closed by the server already, if it came to that

	db, err := openDatabase(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close(ctx)) }()
	if cfg, err = config.EnsureSecrets(cfg); err != nil {
		return err
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
	if err := migrations.Up(ctx, db.url); err != nil {
		return fmt.Errorf("prepare the database: %w", err)
	}
	pool, err := db.pool(ctx)
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
	server := &http.Server{
		Handler:           n.handler,
		ConnContext:       sse.ConnContext,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}

	g, failed := errgroup.WithContext(parts)
	g.Go(func() error { return db.Run(failed) })
	g.Go(func() error { return n.Run(failed) })
	g.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
			log.Info("stopping: connections are asked to come back to another node, or to this one later")
		case <-failed.Done():
		}
		defer stopParts()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		n.drain()
		return errors.Join(n.Shutdown(drain), server.Shutdown(drain))
	})
	g.Go(func() error {
		if n.settled(failed) {
			greet(env, cfg, listener.Addr())
		}
		return nil
	})
	return g.Wait()
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
