package crowd

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/orderlog/orderlog/faults/cluster"
	"github.com/orderlog/orderlog/faults/history"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const secret = "a secret for tests, of 32 bytes at least"

// build makes the program as it is.
func build(t *testing.T) string {
	t.Helper()
	program, err := cluster.Build(t.Context(), "../..", t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// watch sees when a node is ready.
type watch struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ready chan string
}

var readyLine = regexp.MustCompile(`ready on (http://\S+)`)

func (w *watch) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(b)
	if m := readyLine.FindSubmatch(w.text.Bytes()); m != nil {
		select {
		case w.ready <- string(m[1]):
		default:
		}
	}
	return len(b), nil
}

func (w *watch) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// serve runs a node until the test ends.
func serve(t *testing.T, program, database string) string {
	t.Helper()
	cmd := exec.Command(program, "serve")
	cmd.Env = append(os.Environ(), "DATABASE_URL="+database, "JWT_SECRET="+secret, "PAYMENT_WEBHOOK_SECRET="+secret,
		"PORT=0", "LOG_LEVEL=warn", "LOG_FORMAT=text", "DATA_DIR="+t.TempDir())
	w := &watch{ready: make(chan string, 1)}
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(gone)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
		if t.Failed() {
			t.Logf("a node said:\n%s", w.said())
		}
	})
	select {
	case url := <-w.ready:
		return url
	case <-gone:
		t.Fatalf("a node ended: %s", w.said())
	case <-time.After(time.Minute):
		t.Fatalf("a node is not ready: %s", w.said())
	}
	return ""
}

// While nothing is broken everything is answered, most of it well, and every device is told of all there is, by a server
// that says nothing that none may say.
func TestACrowdWhileNothingIsBroken(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	program := build(t)
	h := history.New(7)
	c := New(Config{
		URLs: []string{serve(t, program, database), serve(t, program, database)}, Clients: 60, Rate: 60, Seed: 7,
		Sign:          func(id auth.Identity) (string, error) { return auth.Sign([]byte(secret), id) },
		WebhookSecret: []byte(secret), History: h,
	})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	pause(ctx, 4*time.Second)
	if err := c.StopCommands(ctx); err != nil {
		t.Error(err)
	}
	last, err := c.LastWord(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Await(ctx, last); err != nil {
		t.Fatal(err)
	}
	c.Close()
	judge(t, h, last)
}

// conflicts are the refusals that users meet who do what others do at the same moment.
var conflicts = map[string]bool{
	"invalid_transition": true, "order_not_active": true, "agent_unavailable": true, "payment_exists": true,
	"refund_exceeds_capture": true, "offer_not_applicable": true, "business_closed": true, "version_conflict": true,
	"forbidden": true, "nothing_to_pay": true, "offer_not_found": true,
}

func judge(t *testing.T, h *history.History, last int64) {
	t.Helper()
	type tally struct{ acknowledged, refused int }
	tallies, all := map[string]tally{}, tally{}
	for _, done := range h.Commands() {
		n := tallies[done.Name]
		final := done.Attempts[len(done.Attempts)-1]
		switch {
		case done.Acknowledged() != nil:
			n.acknowledged++
			all.acknowledged++
			if done.Acknowledged().Seq <= 0 && done.Wanted["over"] == "" || done.Acknowledged().Seq > last {
				t.Errorf("%s is acknowledged with seq %d", done.Name, done.Acknowledged().Seq)
			}
		case final.Outcome == history.Refused && conflicts[final.Code]:
			n.refused++
			all.refused++
			t.Logf("%s %v: %s", done.Name, done.Wanted, final.Code)
		default:
			t.Errorf("%s %v ended with %+v", done.Name, done.Wanted, final)
		}
		tallies[done.Name] = n
	}
	t.Logf("%+v of %+v", all, tallies)
	if all.acknowledged < 2*all.refused || all.acknowledged < 120 {
		t.Errorf("%+v", all)
	}
	told := map[string]int{}
	for _, client := range h.Clients() {
		reached := false
		for _, e := range client.Log {
			switch e.Kind {
			case history.Faulty:
				t.Errorf("%s: %s", client.Name, e.Name)
			case history.Event:
				told[client.Transport]++
				reached = reached || e.Seq == last
			case history.Resync:
				t.Errorf("%s: resync %s", client.Name, e.Name)
			}
		}
		if !reached {
			t.Errorf("%s was not told of %d", client.Name, last)
		}
	}
	t.Logf("told: %v", told)
	for _, transport := range transports {
		if told[transport] == 0 {
			t.Errorf("nothing was told over %s", transport)
		}
	}
}
