package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// Every stream's messages are 1, 2, 3 …, and it says itself how many it has.
	sqlEmmettWhole = `
SELECT coalesce(sum(m.messages), 0), count(*) FILTER (WHERE m.messages <> m.newest OR m.newest <> s.stream_position)
FROM (SELECT stream_id, count(*) AS messages, max(stream_position) AS newest FROM emt_messages GROUP BY 1) m
LEFT JOIN emt_streams s USING (stream_id)`
)

// emmett is a process that appends with @event-driven-io/emmett-postgresql, over as many connections as there are
// writers. It measures itself: a JavaScript library has its callers in its own process.
type emmett struct {
	cmd     *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Reader
	done    int // appends, in all rounds
}

func startEmmett(ctx context.Context, url string, writers int) (*emmett, error) {
	dir, err := peerFolder(ctx, "emmett")
	if err != nil {
		return nil, err
	}
	e := &emmett{cmd: exec.CommandContext(ctx, "node", "append.mjs")}
	e.cmd.Dir, e.cmd.Stderr = dir, os.Stderr
	e.cmd.Env = append(os.Environ(), "DATABASE_URL="+url, "CONNECTIONS="+strconv.Itoa(writers), "NODE_ENV=production")
	if e.ask, err = e.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	said, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Emmett (Node 20 is needed): %w", err)
	}
	e.answers = bufio.NewReader(said)
	if line, err := e.answers.ReadString('\n'); err != nil || line != "ready\n" {
		return nil, errors.Join(fmt.Errorf("Emmett does not get ready, it says %q", line), err, e.stop())
	}
	return e, nil
}

func (e *emmett) stop() error {
	_ = e.ask.Close() // it ends with its input
	return e.cmd.Wait()
}

func (e *emmett) load(_ context.Context, writers int, during time.Duration) load {
	l, err := e.round(writers, during)
	if err != nil {
		return load{firstErr: fmt.Errorf("Emmett: %w", err)}
	}
	e.done += l.done
	return l
}

func (e *emmett) round(writers int, during time.Duration) (l load, err error) {
	question, err := json.Marshal(map[string]any{
		"writers": writers, "milliseconds": during.Milliseconds(), "data": payload, "metadata": meta,
	})
	if err != nil {
		return l, err
	}
	if _, err := e.ask.Write(append(question, '\n')); err != nil {
		return l, err
	}
	line, err := e.answers.ReadBytes('\n')
	if err != nil {
		return l, err
	}
	var answer struct {
		Elapsed      int64 // microseconds
		Microseconds []int64
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return l, err
	}
	l.elapsed, l.done = time.Duration(answer.Elapsed)*time.Microsecond, len(answer.Microseconds)
	for _, took := range answer.Microseconds {
		l.latency = append(l.latency, time.Duration(took)*time.Microsecond)
	}
	slices.Sort(l.latency)
	return l, nil
}

// check requires every append that was answered to be there, each stream in order and without a gap.
func (e *emmett) check(ctx context.Context, out io.Writer, pool *pgxpool.Pool) error {
	return checkPeer(ctx, out, pool, "Emmett", sqlEmmettWhole, e.done)
}

// checkPeer runs a statement that gives how many events a peer has stored and how many of its streams are not whole.
func checkPeer(ctx context.Context, out io.Writer, pool *pgxpool.Pool, who, statement string, done int) error {
	var stored, torn int
	if err := pool.QueryRow(ctx, statement).Scan(&stored, &torn); err != nil {
		return fmt.Errorf("check %s: %w", who, err)
	}
	if stored != done || torn > 0 {
		return fmt.Errorf("%s has stored %d events of %d, and %d streams are not whole", who, stored, done, torn)
	}
	fmt.Fprintf(out, "checked: %d events of %s, each stream in order\n", stored, who)
	return nil
}
