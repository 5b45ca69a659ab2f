package eventstore

import (
	"context"
	"strings"
	"time"
)

// The statements that tell others why a group stands: other nodes, and the command line. The row may be locked, by another
// node that works for the group or by a rebuild: then nothing is written, and nobody waits.
const (
	// Not when the checkpoint has moved on: another node got through what failed here.
	sqlTellFailure = `
UPDATE checkpoints SET failures = failures + 1, failed_seq = $3, last_error = $4, failed_at = clock_timestamp()
WHERE group_name = (
	SELECT group_name FROM checkpoints WHERE group_name = $1 AND position = coalesce($2::bigint, position) FOR UPDATE SKIP LOCKED
)`

	// Not while there is something left to do: whoever does it moves the checkpoint, or fails.
	sqlClearFailures = `
UPDATE checkpoints SET failures = 0, failed_seq = NULL, last_error = NULL, failed_at = NULL
WHERE group_name = (
	SELECT c.group_name FROM checkpoints c CROSS JOIN log_head h
	WHERE c.group_name = $1 AND c.failures > 0 AND c.position >= h.seq
	FOR UPDATE OF c SKIP LOCKED
)`
)

const (
	// tellAtMost bounds the attempt to tell: a group's work does not depend on it.
	tellAtMost = 2 * time.Second
	// longestError is how much of an error's text is kept, in characters.
	longestError = 2000
)

// failure is what is told of a failed attempt.
type failure struct {
	after, seq *int64 // the checkpoint and the first event of the segment; nil: none was found
	text       string
}

// tell writes into the group's row what nobody but this node knows yet: that it failed, or, when there is nothing to do,
// that it does not fail any more. It is called between transactions, and writes nothing on the way of a group that works:
// there the statement that moves the checkpoint clears what was told before.
func (g *Group) tell(idle bool) {
	g.mu.Lock()
	f, clearing := g.untold, idle && g.told
	g.untold = nil
	g.mu.Unlock()
	if f == nil && !clearing {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.tellAtMost)
	defer cancel()
	var err error
	if f != nil {
		_, err = g.pool.Exec(ctx, sqlTellFailure, g.cfg.Name, f.after, f.seq, f.text)
	} else if _, err = g.pool.Exec(ctx, sqlClearFailures, g.cfg.Name); err == nil {
		g.mu.Lock()
		g.told = false
		g.mu.Unlock()
	}
	if err != nil {
		g.cfg.Logger.Debug("how the group fares could not be written down", "err", err)
	}
}

// storableText is an error's text as PostgreSQL can keep it.
func storableText(err error) string {
	text := strings.ReplaceAll(strings.ToValidUTF8(err.Error(), "?"), "\x00", "?")
	n := 0
	for i := range text {
		if n++; n > longestError {
			return text[:i]
		}
	}
	return text
}
