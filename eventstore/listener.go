package eventstore

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Listener holds the process's one LISTEN connection and passes PostgreSQL's notifications on as hints.
// A hint may come late, or without need, or never (the connection is lost): whoever waits for one must
// also poll. It is safe for concurrent use.
type Listener struct {
	config *pgx.ConnConfig
	log    *slog.Logger

	mu   sync.Mutex
	subs map[string]map[chan struct{}]struct{}
	told map[string]int64 // the highest position that was hinted at since the connection was made
}

// NewListener returns a Listener for the channels named, with a connection of its own to pool's database.
func NewListener(pool *pgxpool.Pool, log *slog.Logger, channels ...string) *Listener {
	l := &Listener{config: pool.Config().ConnConfig.Copy(), log: log, subs: make(map[string]map[chan struct{}]struct{}), told: make(map[string]int64)}
	for _, c := range channels {
		l.subs[c] = make(map[chan struct{}]struct{})
	}
	return l
}

// Signal returns a channel that receives a value after each notification; those that come faster than
// they are taken are one. cancel ends it. It panics on a channel that NewListener was not given.
func (l *Listener) Signal(channel string) (hints <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs[channel][c] = struct{}{}
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.subs[channel], c)
	}
}

// Run listens until ctx ends, and connects again when the connection is lost.
func (l *Listener) Run(ctx context.Context) error {
	for wait := time.Duration(0); ; wait = min(max(2*wait, 100*time.Millisecond), 5*time.Second) {
		started := time.Now()
		err := l.listen(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(started) > 10*time.Second {
			wait = 0 // it had worked
		}
		l.log.WarnContext(ctx, "the listening connection was lost; polling goes on", "err", err, "retry_in", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (l *Listener) listen(ctx context.Context) error {
	connectCtx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(connectCtx, l.config)
	if err != nil {
		return fmt.Errorf("connect to listen: %w", err)
	}
	defer func() {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closeCtx) // nothing is lost with it
	}()
	for c := range l.subs { // the keys never change
		if _, err := conn.Exec(connectCtx, "LISTEN "+pgx.Identifier{c}.Sanitize()); err != nil {
			return fmt.Errorf("listen on %s: %w", c, err)
		}
	}
	for c := range l.subs {
		l.missed(c)
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("wait for a notification: %w", err)
		}
		position, err := strconv.ParseInt(n.Payload, 10, 64)
		if err != nil {
			position = math.MaxInt64 // whatever it is about
		}
		l.Hint(n.Channel, position)
	}
}

// Hint passes on that what a channel is about has come to a position, before PostgreSQL does so, which is then not passed
// on again. It is for what this process did itself.
func (l *Listener) Hint(channel string, position int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if position <= l.told[channel] {
		return
	}
	if position < math.MaxInt64 {
		l.told[channel] = position
	}
	l.hint(channel)
}

// missed passes on that something may have happened while nobody listened, whatever was passed on before.
func (l *Listener) missed(channel string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.told, channel)
	l.hint(channel)
}

func (l *Listener) hint(channel string) {
	for c := range l.subs[channel] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
