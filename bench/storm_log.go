package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/orderlog/orderlog/domain"
)

// What happened in the ten minutes that clients were away: one event in a thousand is for the customers, the rest is for
// users who are not among them, and the last hundred are for the couriers. The server's ring has the newest 16,384.
const (
	awayEvents = 100_000
	awayStride = awayEvents / stormBehind
)

// The first event of the log is the last that everybody was told of.
const (
	sqlFillNotifications = `
INSERT INTO notification_log (seq, event, channels, payload, at)
SELECT seq, 'e', ARRAY[CASE
		WHEN seq > $1 + 1 THEN 'role:delivery'
		WHEN seq > 1 AND (seq - 1) % $2 = 0 THEN 'role:customer'
		ELSE 'user:absent-' || seq % 20000 END],
	json_build_object('n', seq, 'pad', repeat('x', $3)), now() - interval '10 minutes' * ($1 + $4 - seq) / ($1 + $4)
FROM generate_series(1, $1 + 1 + $4) seq`

	sqlFillChannels = `INSERT INTO notification_channels (channel, seq) SELECT unnest(channels), seq FROM notification_log`
)

// stormFromLog has clients come back that were away for so long that what they missed is only in the database, beside as
// many who missed as much of what the same server still has in memory.
func stormFromLog(ctx context.Context, out io.Writer, url string) error {
	pool, err := newPool(ctx, url, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	began := time.Now()
	if _, err := pool.Exec(ctx, sqlFillNotifications, awayEvents, awayStride, eventPad, stormBehind); err != nil {
		return fmt.Errorf("fill the notification log: %w", err)
	}
	for _, sql := range []string{
		sqlFillChannels,
		`UPDATE log_head SET seq = (SELECT max(seq) FROM notification_log)`,
		`UPDATE checkpoints SET position = (SELECT seq FROM log_head)`,
		`ANALYZE notification_log, notification_channels`,
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			return fmt.Errorf("fill the notification log: %w", err)
		}
	}
	fmt.Fprintf(out, "a log of %d notifications was written in %s; those %d behind are of ten minutes\n",
		awayEvents+stormBehind+1, time.Since(began).Round(100*time.Millisecond), awayEvents)
	ours, err := startOurs(url)
	if err != nil {
		return err
	}
	defer ours.stop()
	r, err := compareStorms(ctx, out, [2]string{"from the ring", "from the log"}, [2]storm{
		{server: ours, speaks: batchDialect, role: domain.RoleDelivery, after: point{n: awayEvents + 1}},
		{server: ours, speaks: batchDialect, after: point{n: 1}, stride: awayStride},
	})
	if err != nil {
		return err
	}
	result(out, "storm_from_log", "storm_from_ring", r, 4, true)
	return nil
}
