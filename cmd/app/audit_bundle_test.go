package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

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
		if !strings.HasPrefix(out, "ok: 6 events about ") || !strings.Contains(out, "; by the word of who signed it, all ") || !strings.Contains(out, order) || !strings.Contains(out, key) || !strings.Contains(out, tc.from) {
			t.Errorf("verify-bundle %s printed %s", tc.command, out)
		}
	}
	out, messages, err := asked(t, nothing, "audit verify-bundle --json "+file)
	if report, _ := parsed(t, out).(map[string]any); err != nil || !strings.Contains(messages, "--key") || report["ok"] != true || report["trusted"] != false || report["orderId"] != order {
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
		out, _, err := asked(t, nothing, "audit verify-bundle --json "+command)
		if report := parsed(t, out); exitCode(err) != 1 || !reflect.DeepEqual(report, any(map[string]any{"ok": false, "error": err.Error()})) {
			t.Errorf("verify-bundle --json %s printed %q and ended with %v", command, out, err)
		}
	}
	checkedBesideAKey(t, file, key)
}

// checkedBesideAKey checks a bundle in a folder that has a key where a server keeps its own.
func checkedBesideAKey(t *testing.T, bundle, key string) {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, ".orderlog")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(data, "audit-key.pub")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		setting string
		noted   bool
		from    string
	}{
		{"", true, file},
		{"DATA_DIR=" + data, false, file},
		{"AUDIT_PUBLIC_KEYS=" + key, false, "AUDIT_PUBLIC_KEYS"},
	} {
		var messages bytes.Buffer
		cmd := exec.CommandContext(t.Context(), self, "audit", "verify-bundle", bundle)
		cmd.Dir, cmd.Stderr = dir, &messages
		cmd.Env = []string{asProgram + "=1", tc.setting}
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), tc.from+"\n") || strings.Contains(messages.String(), file) != tc.noted || (!tc.noted && messages.Len() > 0) {
			t.Errorf("beside a key, with %q, it printed %s, said %q and ended with %v", tc.setting, out, messages.String(), err)
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
