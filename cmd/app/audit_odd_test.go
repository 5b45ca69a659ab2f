package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/orderlog/orderlog/internal/parttest"
)

// signedOrder is an audited order with its checkpoints, whose events may be changed from seq 1 on.
func signedOrder(t *testing.T) (shop, settings, int) {
	t.Helper()
	s, env, _ := auditedOrder(t)
	head := len(strings.Split(strings.TrimSpace(told(t, env, "audit export")), "\n"))
	parttest.Eventually(t, "a checkpoint of all events", func() bool {
		a, err := s.call(t.Context(), "GET", "/api/v1/audit/checkpoint", s.admin, nil)
		return err == nil && a.status == 200 && a.body["seq"] == float64(head)
	})
	return s, env, head
}

// firstLines are the first line of what a command that has to fail prints, of what it says, and of how it ends.
func firstLines(t *testing.T, env settings) (printed, said, ended string) {
	t.Helper()
	out, messages, err := asked(t, env, "audit verify")
	if exitCode(err) != 1 {
		t.Fatalf("it printed %q, said %q and ended with %v", out, messages, err)
	}
	printed, _, _ = strings.Cut(out, "\n")
	said, _, _ = strings.Cut(messages, "\n")
	return printed, said, err.Error()
}

func TestTheFirstLineNamesWhatIsBadWhateverItIs(t *testing.T) {
	t.Parallel()
	s, env, head := signedOrder(t)
	for _, step := range []struct{ change, back, line, end string }{
		{
			`UPDATE log_head SET recorded_at = '2040-01-01'`,
			fmt.Sprintf(`UPDATE log_head SET recorded_at = (SELECT recorded_at FROM events WHERE seq = %d)`, head),
			"the log, no seq by itself: head: ", "no seq by itself is bad: head: ",
		},
		{`INSERT INTO audit_index VALUES (-7, 'x', 'y', NULL)`, `DELETE FROM audit_index WHERE seq = -7`, "seq -7: index: ", "first bad seq -7: index: "},
		{
			`INSERT INTO events SELECT 0, gen_random_uuid(), 'order', gen_random_uuid(), 1, type, data, meta, recorded_at FROM events WHERE seq = 2`,
			`DELETE FROM events WHERE seq = 0`, "seq 0: beyond_head: ", "first bad seq 0: beyond_head: ",
		},
		{
			fmt.Sprintf(`UPDATE events SET recorded_at = 'infinity' WHERE seq = %d`, head), "",
			fmt.Sprintf("seq %d: event: ", head), fmt.Sprintf("first bad seq %d: event: ", head),
		},
		{`UPDATE events SET data = data || '{"price": 1}' WHERE seq = 1`, "", "seq 1: event: ", "first bad seq 1: event: "}, // all checkpoints differ
	} {
		tamper(t, env["DATABASE_URL"], step.change)
		printed, said, ended := firstLines(t, env)
		if !strings.HasPrefix(printed, step.line) || said != "" || !strings.Contains(ended, step.end) {
			t.Errorf("%s:\nprinted %s\nsaid %s\nended with %s", step.change, printed, said, ended)
		}
		report := s.must(t, 200, "GET", "/api/v1/audit/verify", s.admin, nil)
		if report.body["ok"] != false {
			t.Errorf("%s: over the network the report is %v", step.change, report.body)
		}
		if step.back != "" {
			tamper(t, env["DATABASE_URL"], step.back)
		}
	}
	tamper(t, env["DATABASE_URL"], `DELETE FROM log_head`)
	if printed, _, _ := firstLines(t, env); !strings.HasPrefix(printed, "seq 1: event: ") {
		t.Errorf("without a head it printed %s", printed)
	}
}

func TestAPipeInPlaceOfTheCheckpointsKeepsNobodyFromStopping(t *testing.T) {
	t.Parallel()
	s, env, _ := signedOrder(t)
	files, err := filepath.Glob(filepath.Join(env["DATA_DIR"], "checkpoints", "*.checkpoints"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(files[0], 0o600); err != nil {
		t.Fatal(err)
	}
	if printed, said, _ := firstLines(t, env); !strings.Contains(printed, "no regular file") || said != "" {
		t.Errorf("printed %s and said %s", printed, said)
	}
	if report := s.must(t, 200, "GET", "/api/v1/audit/verify", s.admin, nil); report.body["ok"] != false {
		t.Errorf("the report is %v", report.body)
	}
	s.stop()
}
