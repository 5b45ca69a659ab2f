package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain"
)

// state is an aggregate's state, which is also what the API shows of it.
type state[S any] interface {
	Apply(e domain.Event, at time.Time) S
}

// folded is a state that a segment changed.
type folded[S any] struct {
	id    uuid.UUID
	first int64 // seq of the first of its events in the segment
	state S
}

// fold brings the states of one type of stream up to the last of events: it loads those that events
// change, in one query, and applies the events with the aggregate's own Apply. So a read model has no
// logic of its own that could differ from the domain's.
func fold[S state[S]](
	ctx context.Context, tx pgx.Tx, events []Event, streamType, sqlLoad string, version func(S) int64,
) ([]folded[S], error) {
	index := make(map[uuid.UUID]int)
	var ids []uuid.UUID
	var states []folded[S]
	for _, e := range events {
		if e.Stream.Type != streamType {
			continue
		}
		if _, seen := index[e.Stream.ID]; !seen {
			index[e.Stream.ID] = len(states)
			ids = append(ids, e.Stream.ID)
			states = append(states, folded[S]{id: e.Stream.ID, first: e.Seq})
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, sqlLoad, uuids(ids))
	if err != nil {
		return nil, fmt.Errorf("load %s states: %w", streamType, err)
	}
	var id uuid.UUID
	var doc []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &doc}, func() error {
		return json.Unmarshal(doc, &states[index[id]].state)
	})
	if err != nil {
		return nil, fmt.Errorf("load %s states: %w", streamType, err)
	}
	for _, e := range events {
		if e.Stream.Type != streamType {
			continue
		}
		s := &states[index[e.Stream.ID]]
		s.state = s.state.Apply(e.Body, e.RecordedAt)
		if got := version(s.state); got != e.Version {
			return nil, fmt.Errorf("seq %d brings %s to version %d, the read model to %d: it does not follow the log; rebuild it",
				e.Seq, e.Stream, e.Version, got)
		}
	}
	return states, nil
}

// encode returns a state's document.
func encode(s any) (string, error) {
	doc, err := json.Marshal(s)
	return string(doc), err
}
