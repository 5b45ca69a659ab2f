package projections_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// A thousand notifications over three partitions. Some channels have many, some have few, and one is in an event with
// three others.
const sqlFillFeed = `
WITH log AS (
	INSERT INTO notification_log (seq, event, channels, payload, at)
	SELECT 90000 + 200 * i, 'e', ARRAY['role:' || i % 2, 'user:' || i % 37] ||
		CASE WHEN i % 5 = 0 THEN ARRAY['all', E'odd\n"{,'] ELSE '{}' END, json_build_object('n', i), now()
	FROM generate_series(1, 1000) i
	RETURNING seq, channels
)
INSERT INTO notification_channels (channel, seq) SELECT unnest(channels), seq FROM log`

// Whatever is asked for together: each reading gets what it would get by itself.
func TestReadingsThatAreAskedForTogetherAreEachByThemselves(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	for _, sql := range []string{
		`SELECT add_partitions('notification_log', 100000, 300000), add_partitions('notification_channels', 100000, 300000)`,
		sqlFillFeed,
		`UPDATE log_head SET seq = 300000`,
		`UPDATE checkpoints SET position = 300000 WHERE group_name = 'feed'`,
		`UPDATE notification_floor SET floor = 95000`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	feed := projections.NewFeedLog(pool)
	whole, err := feed.Tail(t.Context(), 95000, 2000)
	if err != nil || len(whole.Items) != 975 {
		t.Fatalf("the log has %d notifications, %v", len(whole.Items), err)
	}
	expect := func(r projections.Reading) projections.Page {
		page := projections.Page{Position: 300000}
		if r.After < 95000 {
			page.Expired = true
			return page
		}
		for _, n := range whole.Items {
			if n.Seq <= r.After || !slices.ContainsFunc(r.Channels, func(c string) bool { return slices.Contains(n.Channels, c) }) {
				continue
			}
			if len(page.Items) == r.Limit {
				page.More, page.Position = true, page.Items[r.Limit-1].Seq
				break
			}
			page.Items = append(page.Items, n)
		}
		return page
	}
	channels := []string{"all", "role:0", "role:1", "user:1", "user:2", "user:absent", "odd\n\"{,", "odd", "", "{}"}
	for range 60 {
		asked := make([]projections.Reading, 1+rand.IntN(20))
		for i := range asked {
			r := &asked[i]
			r.After, r.Limit = 94000+rand.Int64N(206_001), 1+rand.IntN(60)
			for range rand.IntN(4) { // at times none, or one twice
				r.Channels = append(r.Channels, channels[rand.IntN(len(channels))])
			}
		}
		pages, err := feed.Read(t.Context(), asked)
		if err != nil || len(pages) != len(asked) {
			t.Fatalf("%d pages, %v", len(pages), err)
		}
		for i, r := range asked {
			if got, want := fmt.Sprintf("%+v", pages[i]), fmt.Sprintf("%+v", expect(r)); got != want {
				t.Fatalf("%d of %d, %+v: got %s, want %s", i, len(asked), r, got, want)
			}
		}
	}
	if _, err := feed.Read(t.Context(), []projections.Reading{{Limit: 1}, {}}); err == nil {
		t.Error("a page of nothing was read")
	}
}

// The plan is made once for all, at the worst moment: without statistics. It goes by the indexes, and only by those of the
// partitions that are after the cursor.
func TestReadingsGoByTheIndexHoweverThePlanWasMade(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	if _, err := pool.Exec(t.Context(), `SELECT add_partitions('notification_log', 100000, 300000), add_partitions('notification_channels', 100000, 300000)`); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), sqlFillFeed); err != nil {
		t.Fatal(err)
	}
	var lines []string
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		for _, sql := range []string{"SET LOCAL plan_cache_mode = force_generic_plan", "PREPARE asked AS " + projections.Statements()["sqlFeedOfChannels"]} {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return err
			}
		}
		rows, err := tx.Query(t.Context(), `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
EXECUTE asked('{all,role:0,user:1,user:2}', '{1,4}', '{3,4}', '{210000,210000}', '{21,21}', 210000)`, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		if lines, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return err
		}
		_, err = tx.Exec(t.Context(), "DEALLOCATE asked")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, line := range lines {
		if !strings.Contains(line, " on notification_") || strings.Contains(line, "notification_floor") {
			continue
		}
		if !strings.Contains(line, "Index") {
			t.Errorf("it does not go by an index: %s", line)
		}
		if !strings.Contains(line, "never executed") {
			read++
			if strings.Contains(line, "p00000000") || strings.Contains(line, "p00000001") {
				t.Errorf("it reads what is before the cursor: %s", line)
			}
		}
		var rows, loops int
		if _, at, ok := strings.Cut(line, "(actual "); ok {
			if _, err := fmt.Sscanf(at, "rows=%d loops=%d", &rows, &loops); err != nil || rows > 21 {
				t.Errorf("it reads more than a page needs: %s", line)
			}
		}
	}
	if read == 0 {
		t.Errorf("nothing was read:\n%s", strings.Join(lines, "\n"))
	}
}
