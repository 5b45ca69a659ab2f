package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/replay/rebuild"
)

func TestTheStatusOfTheProjectionsSaysWhatStopsThem(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pool := pgtest.Pool(t, url)
	env := serverSettings(t, url)
	past(t, pool, 8)
	if _, err := pool.Exec(t.Context(), `
UPDATE checkpoints SET position = 8, updated_at = now() WHERE group_name = 'proofs';
UPDATE checkpoints SET position = 3, failures = 4, failed_seq = 5, last_error = E'no room\nfor more', failed_at = now() WHERE group_name = 'views';
INSERT INTO rebuilds (name, position, program) VALUES ('orders', 6, 'an older one')`); err != nil {
		t.Fatal(err)
	}

	table := told(t, env, "projections status")
	lines := strings.Split(strings.TrimSpace(table), "\n")
	column := strings.Index(lines[0], "LAST ERROR")
	for _, line := range lines[1:6] {
		if len(line) < column || line[column-1] != ' ' {
			t.Errorf("the columns do not line up:\n%s", table)
			break
		}
	}
	for _, want := range []string{"proofs current 8 0 0.0 -", "views failing 3 5", "4 times at seq 5: no room for more", "the log 8", "orders interrupted 6 8 2"} {
		if !strings.Contains(strings.Join(strings.Fields(table), " "), want) {
			t.Errorf("%q is not in the status:\n%s", want, table)
		}
	}

	status := parsed(t, told(t, env, "projections status --json")).(map[string]any)
	byName := map[string]map[string]any{}
	for _, g := range status["groups"].([]any) {
		byName[g.(map[string]any)["group"].(string)] = g.(map[string]any)
	}
	views, proofs := byName["views"], byName["proofs"]
	if views["state"] != "failing" || views["position"] != 3.0 || views["head"] != 8.0 || views["lagEvents"] != 5.0 || views["failures"] != 4.0 ||
		views["failedSeq"] != 5.0 || views["lastError"] != "no room\nfor more" || views["failedAt"] == nil || views["lagSeconds"].(float64) < 0 {
		t.Errorf("views are %v", views)
	}
	if proofs["state"] != "current" || proofs["lagEvents"] != 0.0 || proofs["lagSeconds"] != 0.0 || proofs["lastError"] != nil {
		t.Errorf("proofs are %v", proofs)
	}
	if r := status["rebuilds"].([]any); len(r) != 1 || r[0].(map[string]any)["name"] != "orders" || r[0].(map[string]any)["running"] != false {
		t.Errorf("the rebuilds are %v", r)
	}
}

func TestARebuildAtTheCommandLine(t *testing.T) {
	t.Parallel()
	s, env, order := auditedOrder(t)
	pool := pgtest.Pool(t, env["DATABASE_URL"])
	status := func() (status string) {
		if err := pool.QueryRow(t.Context(), `SELECT status FROM orders_view WHERE id = $1`, order).Scan(&status); err != nil {
			t.Fatal(err)
		}
		return status
	}
	if out, messages, err := asked(t, env, "projections rebuild views --dry-run"); err != nil || !strings.Contains(out, "differences none") || !strings.Contains(messages, "building") {
		t.Errorf("all is well, and it printed\n%ssaid\n%sand ended with %v", out, messages, err)
	}
	if _, err := pool.Exec(t.Context(), `UPDATE orders_view SET status = 'eaten' WHERE id = $1`, order); err != nil {
		t.Fatal(err)
	}

	out, _, err := asked(t, env, "projections rebuild --dry-run orders")
	if exitCode(err) != 1 || !strings.Contains(err.Error(), "1 row not") || status() != "eaten" {
		t.Errorf("ended with %v and left it %s", err, status())
	}
	for _, want := range []string{"orders_view id=" + order, "live", "eaten", "rebuilt", "preparing", "differences 1 row\n", "1 in orders_view", "as they were"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in what it printed:\n%s", want, out)
		}
	}
	out, _, err = asked(t, env, "projections rebuild orders --json")
	result := parsed(t, out).(map[string]any)
	if err != nil || result["swapped"] != true || result["different"] != 1.0 || result["name"] != "orders" || status() != "preparing" {
		t.Errorf("ended with %v, left it %s and printed %s", err, status(), out)
	}
	if out, _, err := asked(t, env, "projections rebuild orders"); err != nil || !strings.Contains(out, "differences none") || !strings.Contains(out, "is live") {
		t.Errorf("once more it printed\n%sand ended with %v", out, err)
	}
	s.must(t, 200, "GET", "/api/v1/orders/"+order, s.admin, nil)

	for name, says := range map[string]string{"pizzas": "orders", "inbox": "inbox", "proofs": "proofs"} {
		if _, _, err := asked(t, env, "projections rebuild "+name); exitCode(err) != 2 || !strings.Contains(err.Error(), says) {
			t.Errorf("rebuilding %s ended with %v", name, err)
		}
	}
}

func TestARebuildThatIsStoppedGoesOn(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pool := pgtest.Pool(t, url)
	head := past(t, pool, 8000)
	if _, err := pool.Exec(t.Context(), `UPDATE checkpoints SET position = $1 WHERE group_name = 'views'`, head); err != nil {
		t.Fatal(err)
	}
	env := serverSettings(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	messages := outputFunc(func(b []byte) (int, error) { // it says how far it is, and then comes Ctrl-C
		cancel()
		return len(b), nil
	})
	err := run(ctx, []string{"projections", "rebuild", "orders"}, env.getenv, messages, messages)
	if exitCode(err) != 1 || !strings.Contains(err.Error(), "run it again") || strings.Contains(err.Error(), "canceled") {
		t.Fatalf("ended with %v", err)
	}
	if out, _, err := asked(t, env, "projections rebuild orders"); err != nil || !strings.Contains(out, "differences 2000 rows") || !strings.Contains(out, "is live") {
		t.Errorf("run again it printed %s and ended with %v", out, err)
	}
}

func TestWhatARebuildCameToIsReadable(t *testing.T) {
	t.Parallel()
	r := rebuild.Result{
		Name: "orders", Seq: 900, Events: 600, ContinuedFrom: 300, Took: 2 * time.Second, Different: 25,
		Rows: map[string]int64{"orders_view": 40, "a_view": 1},
	}
	for i := range 25 {
		r.Differences = append(r.Differences, rebuild.Difference{Table: "orders_view", Key: fmt.Sprintf("id=%d", i), Rebuilt: []byte("{\"a\": \"\x1b[2J\"}")})
	}
	var out bytes.Buffer
	if err := writeResult(&out, r); err != nil {
		t.Fatal(err)
	}
	want := `orders: 600 events after seq 300 in 2.0 s, 300 a second; compared at seq 900
  rows        1 in a_view
  rows        40 in orders_view
  differences 25 rows
  orders_view id=0
    live      (not there)
    rebuilt   {"a": "` + "\ufffd" + `[2J"}
`
	if got := out.String(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 4+3*shownDifferences+2 ||
		!strings.HasSuffix(got, "  and 15 more: --json lists up to 100\nthe live tables are as they were\n") {
		t.Errorf("wrote\n%s\nwant it to begin with\n%s", got, want)
	}
}

func TestProgressWithoutATerminalIsALineNowAndThen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &rebuildProgress{w: &out}
	p.show(rebuild.Progress{Phase: rebuild.PhaseBuilding, Done: 100, Total: 1000, ContinuedFrom: 100})
	p.show(rebuild.Progress{Phase: rebuild.PhaseBuilding, Done: 200, Total: 1000, Rate: 50}) // too soon
	p.said = p.said.Add(-rebuildLine)
	p.show(rebuild.Progress{Phase: rebuild.PhaseBuilding, Done: 300, Total: 1000, Rate: 50, Left: 14 * time.Second, ContinuedFrom: 100})
	p.show(rebuild.Progress{Phase: rebuild.PhaseComparing, Done: 7, Total: 5})
	p.show(rebuild.Progress{Phase: rebuild.PhaseSwapping})
	p.end()
	const want = `going on after seq 100
building: 100 of 1000 events
building: 300 of 1000 events, 50 a second, 14s left
comparing: 7 of 7 rows
swapping
`
	if out.String() != want {
		t.Errorf("wrote\n%s\nwant\n%s", out.String(), want)
	}
	bar := newProgress(&out, "exporting", 0, 100, "events")
	bar.at(50)
	bar.reaches(200)
	bar.end()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	bar = newProgress(file, "exporting", 0, 100, "events")
	bar.at(50)
	bar.end()
	if info, err := file.Stat(); err != nil || info.Size() > 0 || out.String() != want {
		t.Errorf("a bar was written to what is no terminal: %v %v %q", info, err, out.String()[len(want):])
	}
}
