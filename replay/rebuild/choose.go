package rebuild

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/projections"
)

// Choose returns the read models that an operator's name stands for: one by its name, all of REST by "views", or the
// notification log by "feed". Any other name is a [domain.Error] that says what there is.
func Choose(name string) ([]projections.ReadModel, error) {
	all := projections.ReadModels()
	names := make([]string, len(all))
	for i, m := range all {
		if m.Name == name {
			return []projections.ReadModel{m}, nil
		}
		names[i] = m.Name
	}
	why := "is not known"
	switch name {
	case projections.GroupViews:
		return all, nil
	case projections.GroupFeed:
		return []projections.ReadModel{projections.NotificationLog()}, nil
	case projections.GroupInbox:
		why = "writes events and keeps no rows (what shows the users' inboxes is inboxes)"
	case projections.GroupRefunds:
		why = "tells the payment provider of refunds and keeps no rows"
	case projections.GroupProofs:
		why = "is what the log is held against, so it is never made anew: check it with app audit verify"
	}
	return nil, domain.Invalid("name", "%s: %q; there are %s (one of these), views (all of these) and feed", why, name, strings.Join(names, ", "))
}

// Pending returns the rebuilds that are under way or were interrupted, by name.
func Pending(ctx context.Context, pool *pgxpool.Pool) ([]Row, error) {
	rows, err := pool.Query(ctx, sqlPending)
	if err != nil {
		return nil, fmt.Errorf("read the rebuilds: %w", err)
	}
	pending, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Row, error) {
		var r Row
		err := row.Scan(&r.Name, &r.Position, &r.Program, &r.StartedAt, &r.UpdatedAt, &r.Running)
		r.StartedAt, r.UpdatedAt = r.StartedAt.UTC(), r.UpdatedAt.UTC()
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the rebuilds: %w", err)
	}
	return pending, nil
}
