package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// asked carries out a command and returns what it printed, where results go and where messages go, and how it ended.
func asked(t *testing.T, env settings, command string, words ...string) (out, messages string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err = run(t.Context(), append(strings.Fields(command), words...), env.getenv, &stdout, &stderr)
	for _, text := range []string{stdout.String(), stderr.String(), fmt.Sprint(err)} {
		if i := strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }); i >= 0 {
			t.Errorf("app %s wrote a control character: %q", command, text[max(0, i-20):min(len(text), i+20)])
		}
	}
	return stdout.String(), stderr.String(), err
}

// told is what a command that has to succeed prints.
func told(t *testing.T, env settings, command string, words ...string) string {
	t.Helper()
	out, messages, err := asked(t, env, command, words...)
	if err != nil || messages != "" {
		t.Fatalf("app %s %v ended with %v and said %q", command, words, err, messages)
	}
	return out
}

func parsed(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// auditedOrder is an order that went two steps on, with the messages to its customer, and the settings to ask about it.
func auditedOrder(t *testing.T) (shop, settings, string) {
	t.Helper()
	url := pgtest.Database(t)
	s := openedShopOn(t, url)
	order := s.place(t, s.ada)
	s.move(t, order, "confirmed")
	s.must(t, 200, "PATCH", "/api/v1/orders/"+order+"/status", s.admin, map[string]any{"status": "preparing", "message": "ten minutes"})
	s.inbox(t, s.ada, 3)
	return s, serverSettings(t, url), order
}

func TestTheHistoryAtTheCommandLineIsThatOfTheAPI(t *testing.T) {
	t.Parallel()
	s, env, order := auditedOrder(t)
	head := len(strings.Split(strings.TrimSpace(told(t, env, "audit export")), "\n"))
	api := func(path string) map[string]any {
		return s.must(t, 200, "GET", fmt.Sprintf("/api/v1/audit/orders/%s%smin_seq=%d", order, path, head), s.admin, nil).body
	}
	number := s.must(t, 200, "GET", "/api/v1/orders/"+order, s.admin, nil).body["orderNumber"].(string)
	placed := api("?")["items"].([]any)[0].(map[string]any)
	seq := strconv.FormatFloat(placed["seq"].(float64), 'f', 0, 64)
	for command, want := range map[string]map[string]any{
		order + " --json":                                          api("?"),
		"--json " + order:                                          api("?"),
		"-json=true " + strings.ToUpper(order):                     api("?"),
		"--json " + number:                                         api("?"),
		"--json -- " + strings.ToLower(number):                     api("?"),
		order + " --diff --json":                                   api("?changes=true&"),
		"--diff " + order + " --json":                              api("?changes=true&"),
		order + " --json --seq " + seq:                             api("/state?seq=" + seq + "&"),
		"--seq=" + seq + " " + number + " --json":                  api("/state?seq=" + seq + "&"),
		"--at " + placed["at"].(string) + " " + order + " --json ": api("/state?at=" + placed["at"].(string) + "&"),
	} {
		if got := parsed(t, told(t, env, "audit history "+command)); !reflect.DeepEqual(got, any(want)) {
			t.Errorf("audit history %s printed\n%.2000v\nand the API answers\n%.2000v", command, got, want)
		}
	}
}

func TestTheHistoryIsReadable(t *testing.T) {
	t.Parallel()
	s, env, order := auditedOrder(t)
	whole := told(t, env, "audit history", order)
	for _, want := range []string{"Placed", "ada (customer)", "boss (admin)", "from confirmed to preparing", "ten minutes"} {
		if !strings.Contains(whole, want) {
			t.Errorf("%q is not in the history:\n%s", want, whole)
		}
	}
	if diff := told(t, env, "audit history --diff", order); !strings.Contains(diff, `~ /status "confirmed" → "preparing"`) || strings.Contains(whole, "/status") {
		t.Errorf("what changed:\n%s", diff)
	}
	if all := told(t, env, "audit history --all", order); !strings.Contains(all, "correlation ") || strings.Contains(whole, "correlation ") {
		t.Errorf("all of it:\n%s", all)
	}
	first := s.must(t, 200, "GET", "/api/v1/audit/orders/"+order, s.admin, nil).body["items"].([]any)[0].(map[string]any)
	seq := fmt.Sprint(first["seq"])
	if then := told(t, env, "audit history --seq "+seq, order); !strings.Contains(then, "after seq "+seq) ||
		!strings.Contains(then, "placed") || !strings.Contains(then, "2 × Margherita for 19.00 EUR") {
		t.Errorf("as it was placed:\n%s", then)
	}
	for _, tc := range []struct{ words, says string }{
		{"11111111-1111-4111-8111-111111111111", "DATABASE_URL"},
		{"ORD-999999", "DATABASE_URL"},
		{"--seq 1 " + order, "seq " + seq}, // it was not there yet
		{"--seq 999999 " + order, "ends at"},
	} {
		out, _, err := asked(t, env, "audit history "+tc.words)
		if exitCode(err) != 1 || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "not_found") || out != "" {
			t.Errorf("audit history %s ended with %v", tc.words, err)
		}
	}
}

// caughtUp has a server bring all projections to the end of the log.
func caughtUp(t *testing.T, env settings) {
	t.Helper()
	s := start(t, env)
	defer s.stop()
	parttest.Eventually(t, "the projections to be at the end of the log", func() bool {
		groups := parsed(t, told(t, env, "projections status --json")).(map[string]any)["groups"].([]any)
		return !slices.ContainsFunc(groups, func(g any) bool { return g.(map[string]any)["lagEvents"] != 0.0 })
	})
}

func TestAToolSaysHowFarTheAuditIs(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	past(t, pgtest.Pool(t, url), 8)
	out, messages, err := asked(t, serverSettings(t, url), "audit export")
	if err != nil || out != "" || !strings.Contains(messages, "up to seq 0 of 8") || strings.Count(messages, "\n") != 1 {
		t.Errorf("printed %q, said %q and ended with %v", out, messages, err)
	}
}

func TestVerifyingNamesWhereTheDamageBegins(t *testing.T) {
	t.Parallel()
	s, env, _ := auditedOrder(t)
	head := len(strings.Split(strings.TrimSpace(told(t, env, "audit export")), "\n"))
	parttest.Eventually(t, "a checkpoint of all events", func() bool {
		a, err := s.call(t.Context(), "GET", "/api/v1/audit/checkpoint", s.admin, nil)
		return err == nil && a.status == 200 && a.body["seq"] == float64(head)
	})
	if out := told(t, env, "audit verify"); !strings.HasPrefix(out, fmt.Sprintf("ok: %d events, tree of %d, root ", head, head)) || strings.Count(out, "\n") != 1 {
		t.Errorf("the log is whole, and it says %s", out)
	}
	report := parsed(t, told(t, env, "audit verify --json")).(map[string]any)
	if report["ok"] != true || report["events"] != float64(head) || report["firstBadSeq"] != nil || report["checkpoints"] == 0.0 {
		t.Errorf("the report is %v", report)
	}

	unsigned := maps.Clone(env)
	unsigned["AUDIT_KEY"] = ""
	if out, messages, err := asked(t, unsigned, "audit verify"); err != nil || !strings.HasPrefix(out, "ok: ") || !strings.Contains(messages, "CHECKPOINT_DIR") {
		t.Errorf("without a key it said %q and ended with %v", messages, err)
	}
	comparedWithNothing(t, env)

	tamper(t, env["DATABASE_URL"], `UPDATE events SET data = data || '{"price": 1}' WHERE seq = 2`)
	out, _, err := asked(t, env, "audit verify")
	if exitCode(err) != 1 || !strings.HasPrefix(err.Error(), "the log is damaged: first bad seq 2: ") || !strings.Contains(out, "seq 2: ") {
		t.Errorf("ended with %v and printed %s", err, out)
	}
	out, _, err = asked(t, env, "audit verify --json")
	if report := parsed(t, out).(map[string]any); exitCode(err) != 1 || report["ok"] != false || report["firstBadSeq"] != 2.0 {
		t.Errorf("ended with %v and reports %v", err, report)
	}
}

// comparedWithNothing verifies a good log with folders that have no checkpoint of it.
func comparedWithNothing(t *testing.T, env settings) {
	t.Helper()
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "none")} {
		env := maps.Clone(env)
		env["CHECKPOINT_DIR"] = dir
		says := "nothing was compared with CHECKPOINT_DIR=" + dir
		if out, _, err := asked(t, env, "audit verify"); exitCode(err) != 1 || !strings.Contains(err.Error(), says) || strings.HasPrefix(out, "ok") {
			t.Errorf("with CHECKPOINT_DIR=%s it printed %q and ended with %v", dir, out, err)
		}
		out, _, err := asked(t, env, "audit verify --json")
		if report := parsed(t, out).(map[string]any); exitCode(err) != 1 || !strings.Contains(err.Error(), says) || report["ok"] != false || report["checkpoints"] != 0.0 {
			t.Errorf("with CHECKPOINT_DIR=%s it reports %v and ended with %v", dir, report, err)
		}
	}
	elsewhere := maps.Clone(env) // whose default folder has none
	elsewhere["DATA_DIR"] = empty
	if out, messages, err := asked(t, elsewhere, "audit verify"); err != nil || !strings.HasPrefix(out, "ok: ") || !strings.Contains(messages, "CHECKPOINT_DIR") {
		t.Errorf("with the default folder it said %q and ended with %v", messages, err)
	}
}

// tamper changes the log as its database's superuser can.
func tamper(t *testing.T, databaseURL, statement string) {
	t.Helper()
	pool := pgtest.Pool(t, pgtest.SuperuserURL(t, databaseURL))
	for _, sql := range []string{`ALTER TABLE events DISABLE TRIGGER ALL`, statement, `ALTER TABLE events ENABLE TRIGGER ALL`} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}
