package eventstore

import (
	"context"
	"fmt"
	"time"
)

// keepPartitions makes partitions before the log needs them. Where it fails, it tries again; an append
// that finds no partition makes it itself.
func (s *Store) keepPartitions(ctx context.Context) error {
	var ready int64 // there are partitions up to here
	var retry <-chan time.Time
	for {
		head := s.head.Load()
		if upTo := head + int64(s.opts.PartitionsAhead)*partitionSize; upTo/partitionSize > ready/partitionSize || ready == 0 {
			retry = nil
			if err := s.addPartitions(ctx, head); err == nil {
				ready = upTo
			} else if ctx.Err() == nil {
				s.log.ErrorContext(ctx, "partitions could not be made ahead; trying again", "err", err)
				retry = time.After(5 * time.Second)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.grown:
		case <-retry:
		}
	}
}

// addPartitions makes what is missing for a head of at least atLeast.
func (s *Store) addPartitions(ctx context.Context, atLeast int64) error {
	head, err := s.Head(ctx)
	if err != nil {
		return err
	}
	upTo := max(head.Seq, atLeast) + int64(s.opts.PartitionsAhead)*partitionSize
	if _, err := s.pool.Exec(ctx, sqlAddPartitions, "events", int64(partitionSize), upTo); err != nil {
		return fmt.Errorf("make partitions of the log up to seq %d: %w", upTo, err)
	}
	return nil
}
