package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain/courier"
)

const (
	sqlAddTrackPoints = `
INSERT INTO track_points (order_id, seq, agent_id, latitude, longitude, speed, heading, accuracy, at)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::float8[], $5::float8[],
	$6::float8[], $7::float8[], $8::float8[], $9::timestamptz[])`

	sqlTrack = `
SELECT c.position, p.seq, p.agent_id, p.latitude, p.longitude, p.speed, p.heading, p.accuracy, p.at
FROM checkpoints c
LEFT JOIN LATERAL (
	SELECT * FROM track_points WHERE order_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
) p ON true WHERE c.group_name = 'views' ORDER BY p.seq`
)

// Tracks is the read model of where the couriers of orders were. It only adds rows: points are what there is
// most of, and none changes another.
type Tracks struct{}

// Project adds the points among events to track_points.
func (Tracks) Project(ctx context.Context, tx pgx.Tx, events []Event) error {
	var (
		orders                   []uuid.UUID
		seqs                     []int64
		agents                   []string
		lat, lng                 []float64
		speed, heading, accuracy []*float64
		times                    []time.Time
	)
	for _, e := range events {
		p, ok := e.Body.(courier.Located)
		if !ok {
			continue
		}
		orders, seqs, agents, times = append(orders, p.OrderID), append(seqs, e.Seq), append(agents, p.AgentID), append(times, e.RecordedAt)
		lat, lng = append(lat, p.Latitude), append(lng, p.Longitude)
		speed, heading, accuracy = append(speed, p.Speed), append(heading, p.Heading), append(accuracy, p.Accuracy)
	}
	if len(orders) == 0 {
		return nil
	}
	if err := write(ctx, tx, sqlAddTrackPoints, uuids(orders), seqs, agents, lat, lng, speed, heading, accuracy, times); err != nil {
		return fmt.Errorf("add to tracks: %w", err)
	}
	return nil
}

// TrackPoint is where an order's courier was.
type TrackPoint struct {
	Seq      int64    `json:"seq"` // of the event
	AgentID  string   `json:"agentId"`
	Location Location `json:"location"`
	Motion
	At time.Time `json:"at"`
}

// TrackQuery selects the points of an order, oldest first.
type TrackQuery struct {
	OrderID uuid.UUID
	Limit   int    // at least 1
	After   string // a List.Next, or empty
}

// Track returns a page of an order's points; none if there is no such order.
func (v *Views) Track(ctx context.Context, q TrackQuery) (List[TrackPoint], error) {
	after, err := parseCursor(q.After, 0)
	if err != nil {
		return List[TrackPoint]{}, err
	}
	var (
		agent                    *string
		lat, lng                 *float64
		speed, heading, accuracy *float64
		at                       *time.Time
	)
	return readPage(
		ctx, v, q.Limit, sqlTrack, []any{q.OrderID, after, q.Limit + 1},
		[]any{&agent, &lat, &lng, &speed, &heading, &accuracy, &at},
		func(seq int64) (TrackPoint, error) {
			return TrackPoint{
				Seq: seq, AgentID: *agent, Location: Location{*lat, *lng}, Motion: Motion{speed, heading, accuracy}, At: at.UTC(),
			}, nil
		},
	)
}
