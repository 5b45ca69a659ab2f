package proofs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// mayBeAhead is how far an event's time may be ahead of this machine's clock: clocks differ.
const mayBeAhead = 24 * time.Hour

// findBeyond looks for events that the log's head does not count.
func (x *examination) findBeyond(ctx context.Context, tx pgx.Tx, end storedTree) error {
	rows, err := tx.Query(ctx, sqlBeyond, end.head)
	if err != nil {
		return fmt.Errorf("look for events beyond the head: %w", err)
	}
	var seq int64
	_, err = pgx.ForEachRow(rows, []any{&seq}, func() error {
		p := Problem{Seq: seq, Kind: KindBeyondHead, zero: seq == 0, Detail: fmt.Sprintf("the event is not one of the log, whose head is at %d", end.head)}
		if seq < 1 {
			p.Detail = "the event is not one of the log, which begins with seq 1"
		}
		x.problems.add(p)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for events beyond the head: %w", err)
	}
	return nil
}

// compareHead compares the head's time with the newest event's: it is what the next event is not recorded before.
func (x *examination) compareHead(_ context.Context, _ pgx.Tx, end storedTree) error {
	at := end.headAt
	p := Problem{Kind: KindHead}
	switch {
	case end.headless:
		return nil // that is said already
	case !at.Valid || at.InfinityModifier != pgtype.Finite || !writable(at.Time):
		p.Detail = "the time of the log's head is empty, infinite, or of a year that can't be written; it has to be that of the newest event"
	case end.head == 0 && !at.Time.Equal(time.Unix(0, 0)):
		p.Detail = fmt.Sprintf("the time of the log's head is %s, and there is no event yet", at.Time.UTC().Format(timeOf))
	case end.head > 0 && end.head == x.lastTimed && !at.Time.Equal(x.lastTime):
		p.Detail = fmt.Sprintf("the time of the log's head is %s, but event %d, the newest, was recorded at %s",
			at.Time.UTC().Format(timeOf), end.head, x.lastTime.Format(timeOf))
	}
	if p.Detail != "" {
		x.problems.add(p)
	}
	if ahead := x.lastTime.Sub(x.startedAt); ahead > mayBeAhead {
		x.warn(fmt.Sprintf("event %d was recorded at %s, which is later than now: a clock was wrong, or the time of the log's head was set forward before it",
			x.lastTimed, x.lastTime.Format(timeOf)))
	}
	return nil
}

// writable says that a time can stand in a checkpoint. PostgreSQL has later ones and infinite ones.
func writable(at time.Time) bool { return at.Year() >= 1 && at.Year() <= 9999 }
