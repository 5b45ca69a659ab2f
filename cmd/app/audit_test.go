package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
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

func TestAnExportIsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	s, env, order := auditedOrder(t)
	all := strings.SplitAfter(told(t, env, "audit export"), "\n")
	all = all[:len(all)-1] // what is behind the last line
	events := s.must(t, 200, "GET", fmt.Sprintf("/api/v1/audit/events?min_seq=%d", len(all)), s.admin, nil).body["items"].([]any)
	for i, line := range all {
		if !reflect.DeepEqual(parsed(t, line), events[i]) || len(events) != len(all) {
			t.Fatalf("line %d of %d is %s, and the API has %v", i+1, len(all), line, events[i])
		}
	}
	at := func(i int) string { return events[i].(map[string]any)["at"].(string) }
	of := func(holds func(e map[string]any) bool) (lines []string) {
		for i, e := range events {
			if holds(e.(map[string]any)) {
				lines = append(lines, all[i])
			}
		}
		return lines
	}
	typ := func(names ...string) []string {
		return of(func(e map[string]any) bool { return slices.Contains(names, e["type"].(string)) })
	}
	for command, want := range map[string][]string{
		"--from 2 --to 3":                                   all[1:3],
		"--from 1 --to 1":                                   all[:1],
		"--to 999999":                                       all,
		"--from 999999":                                     nil,
		"--from " + strconv.Itoa(len(all)):                  all[len(all)-1:],
		"--type order.placed --type product.added":          typ("order.placed", "product.added"),
		"--type order.placed,order.status_changed --from 4": typ("order.status_changed"),
		"--stream order/" + order:                           of(func(e map[string]any) bool { return e["stream"] == "order/"+order }),
		"--stream " + order:                                 of(func(e map[string]any) bool { return e["stream"] == "order/"+order }),
		"--actor ada":                                       of(func(e map[string]any) bool { return e["meta"].(map[string]any)["userId"] == "ada" }),
		"--since " + at(3):                                  of(func(e map[string]any) bool { return e["at"].(string) >= at(3) }),
		"--until " + at(3):                                  of(func(e map[string]any) bool { return e["at"].(string) < at(3) }),
		"--since 2100-01-01":                                nil,
		"--format ndjson --type order.placed --actor boss":  nil,
		"--actor boss --type order.status_changed --since 2020-01-01 --to 99": typ("order.status_changed"),
	} {
		if got := told(t, env, "audit export "+command); got != strings.Join(want, "") {
			t.Errorf("audit export %s printed\n%swant\n%s", command, got, strings.Join(want, ""))
		}
	}

	rows, err := csv.NewReader(strings.NewReader(told(t, env, "audit export --format csv"))).ReadAll()
	if err != nil || len(rows) != len(all)+1 || rows[0][0] != "seq" || rows[1][0] != "1" {
		t.Errorf("as CSV: %v %v", rows, err)
	}
	out, _, err := asked(t, env, "audit export --type order.baked")
	if exitCode(err) != 2 || !strings.Contains(err.Error(), "order.baked") || out != "" {
		t.Errorf("a type that nobody knows: %v", err)
	}
}

// outputFunc is an output.
type outputFunc func(b []byte) (int, error)

func (f outputFunc) Write(b []byte) (int, error) { return f(b) }

func TestAnExportThatIsStoppedSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	past(t, pgtest.Pool(t, url), 4000)
	env := serverSettings(t, url)
	caughtUp(t, env)
	for format, extra := range map[string]string{"ndjson": "", "csv": " --format csv"} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var begun bytes.Buffer
		out := outputFunc(func(b []byte) (int, error) {
			cancel() // Ctrl-C, in the middle
			return begun.Write(b)
		})
		err := run(ctx, strings.Fields("audit export"+extra), env.getenv, out, io.Discard)
		var seq, next int
		if exitCode(err) != 1 {
			t.Fatalf("%s: ended with %v", format, err)
		}
		if n, _ := fmt.Sscanf(err.Error(), "stopped after seq %d: go on with --from %d", &seq, &next); n != 2 || next != seq+1 || seq < 100 || seq > 3900 {
			t.Fatalf("%s: ended with %v", format, err)
		}
		whole, rest := told(t, env, "audit export"+extra), told(t, env, fmt.Sprintf("audit export --from %d%s", next, extra))
		if format == "csv" {
			_, rest, _ = strings.Cut(rest, "\n") // its header
		}
		if begun.String()+rest != whole {
			t.Errorf("%s: the two parts are not the whole: %d and %d of %d bytes", format, begun.Len(), len(rest), len(whole))
		}
	}

	out := outputFunc(func([]byte) (int, error) { return 0, syscall.ENOSPC })
	if err := run(t.Context(), []string{"audit", "export"}, env.getenv, out, io.Discard); exitCode(err) != 1 ||
		!strings.Contains(err.Error(), "no space") || strings.Contains(err.Error(), "--from") {
		t.Errorf("an output that is full: %v", err)
	}
	closedEarly(t, env)
}

// closedEarly reads a line of an export and closes the pipe, as head does.
func closedEarly(t *testing.T, env settings) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "audit", "export")
	cmd.Env = []string{asProgram + "=1"}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, `{"seq":1,`) {
		t.Errorf("the first line is %q, %v", line, err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 1 || messages.String() != "app: stopped: who read the output has closed it\n" {
		t.Errorf("it ended with %v and said %q", cmd.ProcessState, messages.String())
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

	for name, value := range map[string]string{"CHECKPOINT_DIR": t.TempDir(), "AUDIT_KEY": ""} {
		env := maps.Clone(env)
		env[name] = value
		out, messages, err := asked(t, env, "audit verify")
		if err != nil || !strings.HasPrefix(out, "ok: ") || !strings.Contains(messages, "CHECKPOINT_DIR") {
			t.Errorf("with %s=%s it said %q and ended with %v", name, value, messages, err)
		}
	}

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

func TestABundleIsCheckedWithoutADatabase(t *testing.T) {
	t.Parallel()
	s, env, order := auditedOrder(t)
	number := s.must(t, 200, "GET", "/api/v1/orders/"+order, s.admin, nil).body["orderNumber"].(string)
	dir := t.TempDir()
	file := filepath.Join(dir, "bundle.json")
	if out := told(t, env, "audit bundle --out "+file, order); out != "" {
		t.Errorf("printed %q", out)
	}
	if out := told(t, env, "audit bundle", number); !json.Valid([]byte(out)) {
		t.Errorf("printed %.200q", out)
	}
	if _, _, err := asked(t, env, "audit bundle --out "+file, order); exitCode(err) != 1 || !strings.Contains(err.Error(), "--force") {
		t.Errorf("over a file that is there: %v", err)
	}
	told(t, env, "audit bundle --force "+order+" --out "+file)
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left %v", left)
	}

	// A machine that knows nothing but what it is given.
	key := strings.TrimSpace(told(t, env, "audit key"))
	keyFile := filepath.Join(t.TempDir(), "operator.pub")
	if err := os.WriteFile(keyFile, []byte("# the operator's\n"+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nothing := settings{"DATA_DIR": filepath.Join(t.TempDir(), "none"), "DATABASE_URL": "postgres://127.0.0.1:1/none"}
	trusting := settings{"AUDIT_PUBLIC_KEYS": key}
	for _, tc := range []struct {
		env     settings
		command string
		from    string
	}{
		{nothing, "--key " + key + " " + file, "--key"},
		{nothing, file + " --key " + keyFile, "--key"},
		{settings{"PORT": "x"}, file + " --key " + keyFile, "--key"}, // no setting is needed
		{trusting, file, "AUDIT_PUBLIC_KEYS"},
		{env, file, "AUDIT_KEY"},
	} {
		out := told(t, tc.env, "audit verify-bundle "+tc.command)
		if !strings.HasPrefix(out, "ok: 6 events about ") || !strings.Contains(out, order) || !strings.Contains(out, key) || !strings.Contains(out, tc.from) {
			t.Errorf("verify-bundle %s printed %s", tc.command, out)
		}
	}
	out, messages, err := asked(t, nothing, "audit verify-bundle --json "+file)
	if report, _ := parsed(t, out).(map[string]any); err != nil || !strings.Contains(messages, "--key") || report["trusted"] != false || report["orderId"] != order {
		t.Errorf("by its own key: %v, said %q, reports %v", err, messages, report)
	}

	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(dir, "changed.json")
	if err := os.WriteFile(changed, bytes.Replace(content, []byte("ten minutes"), []byte("two minutes"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, other, _ := asked(t, nothing, "audit key --new")
	other = strings.TrimSpace(other[strings.LastIndex(other, " ")+1:])
	for _, command := range []string{
		changed, "--key " + key + " " + changed, "--key " + other + " " + file, filepath.Join(dir, "none.json"), keyFile,
	} {
		if out, _, err := asked(t, nothing, "audit verify-bundle "+command); exitCode(err) != 1 || out != "" {
			t.Errorf("verify-bundle %s printed %q and ended with %v", command, out, err)
		}
	}
}

func TestBundlesNeedTheKey(t *testing.T) {
	t.Parallel()
	_, env, order := auditedOrder(t)
	without := settings{"DATABASE_URL": env["DATABASE_URL"], "DATA_DIR": filepath.Join(t.TempDir(), "none")}
	if _, _, err := asked(t, without, "audit bundle", order); exitCode(err) != 1 || !strings.Contains(err.Error(), "AUDIT_KEY") {
		t.Errorf("without a key: %v", err)
	}
	if _, _, err := asked(t, env, "audit bundle 11111111-1111-4111-8111-111111111111"); exitCode(err) != 1 || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("of an order that is not there: %v", err)
	}
}

func TestTheAuditsKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	env := settings{"DATA_DIR": dir}
	private, messages, err := asked(t, env, "audit key --new")
	if err != nil {
		t.Fatal(err)
	}
	public := strings.TrimSpace(messages[strings.LastIndex(messages, " ")+1:])
	if got := told(t, settings{"AUDIT_KEY": strings.TrimSpace(private)}, "audit key"); got != public+"\n" {
		t.Errorf("the public key of a new one is %q, and was said to be %q", got, public)
	}
	if again, _, _ := asked(t, env, "audit key --new"); again == private {
		t.Error("two new keys are the same")
	}
	if _, _, err := asked(t, env, "audit key"); exitCode(err) != 1 || !strings.Contains(err.Error(), "AUDIT_KEY") {
		t.Errorf("without a key: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("something was kept")
	}
}
