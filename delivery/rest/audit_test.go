package rest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/replay"
	"github.com/orderlog/orderlog/replay/proofs"
)

func TestTheHistoryOfAnOrder(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t)
	path := "/orders/" + orderID.String()
	got := audited(t, h, path)
	items, _ := got.body["items"].([]any)
	if got.status != 200 || len(items) != 1 || got.body["next"] != nil || got.body["orderId"] != orderID.String() || got.body["log"] != logID.String() {
		t.Fatalf("got %d: %s", got.status, got.text)
	}
	if entry, _ := items[0].(map[string]any); entry["changes"] != nil || entry["actor"] == nil || entry["reason"] != "" {
		t.Errorf("got %v", entry)
	}
	if !strings.Contains(got.text, hard) {
		t.Errorf("what the log has is written in another way: %s", got.text)
	}
	w.more = "more"
	got = audited(t, h, path+"?limit=7&cursor=2&changes=true")
	if got.body["next"] != "3" || !strings.Contains(got.text, `"changes":[{"path":"/status","to":"placed"},{"path":"/payments/0","from":{"a":[1]}}]`) {
		t.Errorf("got %s", got.text)
	}
	for i, want := range []replay.HistoryQuery{{OrderID: orderID}, {OrderID: orderID, After: 2, Limit: 7, Changes: true}} {
		if w.queries[i] != want {
			t.Errorf("asked for %+v, want %+v", w.queries[i], want)
		}
	}
}

func TestAnOrderAsItWas(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t)
	path := "/orders/" + orderID.String() + "/state"
	got := audited(t, h, path+"?seq=7")
	if got.status != 200 || got.header.Get("X-Seq") != "7" || got.body["seq"] != 7.0 || got.body["id"] != orderID.String() || got.body["at"] == nil {
		t.Fatalf("got %d %v: %s", got.status, got.header, got.text)
	}
	if payments, ok := got.body["payments"].([]any); !ok || len(payments) != 0 {
		t.Errorf("payments: %s", got.text)
	}
	audited(t, h, path)
	audited(t, h, path+"?at=2026-03-01T17:30:00.5%2B05:30")
	at := time.Date(2026, 3, 1, 12, 0, 0, 500_000_000, time.UTC)
	for i, want := range []replay.Moment{{Seq: 7}, {}, {At: at}} {
		if w.queries[i] != want {
			t.Errorf("asked for %+v, want %+v", w.queries[i], want)
		}
	}
	// What is beyond the log, and what was before the order, is said by who knows.
	w.fail = domain.Invalid("seq", "must not be beyond the log, which ends at 42")
	refused(t, audited(t, h, path+"?seq=43"), 400, "invalid_request")
	w.fail = domain.Errorf(domain.CodeNotFound, "the order was placed at 3")
	refused(t, audited(t, h, path+"?seq=2"), 404, "not_found")
	refused(t, audited(t, h, "/orders/"+unknownID.String()+"/state"), 404, "not_found")
}

func TestAuditRequestsThatAreNotValid(t *testing.T) {
	t.Parallel()
	order := "/audit/orders/" + orderID.String()
	for path, location := range map[string]string{
		"/audit/orders/7":                              "path.id",
		order + "?limit=0":                             "query.limit",
		order + "?limit=201":                           "query.limit",
		order + "?cursor=-1":                           "query.cursor",
		order + "?cursor=abc":                          "query.cursor",
		order + "?changes=maybe":                       "query.changes",
		order + "?diff=true":                           "query.diff",
		"/audit/orders/7/state":                        "path.id",
		order + "/state?seq=0":                         "query.seq",
		order + "/state?seq=-1":                        "query.seq",
		order + "/state?seq=1.5":                       "query.seq",
		order + "/state?seq=9223372036854775808":       "query.seq",
		order + "/state?at=yesterday":                  "query.at",
		order + "/state?at=2026-03-01":                 "query.at",
		order + "/state?at=0001-01-01T00:00:00Z":       "query.at",
		order + "/state?seq=1&at=2026-03-01T00:00:00Z": "query.at",
		order + "/state?seqs=1":                        "query.seqs",
		"/audit/events?after=-1":                       "query.after",
		"/audit/events?after=x":                        "query.after",
		"/audit/events?to=0":                           "query.to",
		"/audit/events?after=5&to=4":                   "query.after",
		"/audit/events?cursor=5&to=4":                  "query.after",
		"/audit/events?limit=0":                        "query.limit",
		"/audit/events?limit=201":                      "query.limit",
		"/audit/events?since=now":                      "query.since",
		"/audit/events?until=now":                      "query.until",
		"/audit/events?until=0001-01-01T00:00:00Z":     "query.until",
		"/audit/events?since=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z": "query.since",
		"/audit/events?actor=a%00b":                        "query.actor",
		"/audit/events?actor=" + strings.Repeat("a", 129):  "query.actor",
		"/audit/events?stream=%ff":                         "query.stream",
		"/audit/events?stream=" + strings.Repeat("a", 201): "query.stream",
		"/audit/events?actor=a&actor=b":                    "query.actor",
		"/audit/events?types=order.placed":                 "query.types",
		"/audit/events/0/proof":                            "path.seq",
		"/audit/events/-1/proof":                           "path.seq",
		"/audit/events/x/proof":                            "path.seq",
		"/audit/events/1.0/proof":                          "path.seq",
		"/audit/checkpoint?since=-1":                       "query.since",
		"/audit/checkpoint?since=x":                        "query.since",
		"/audit/verify?fast=true":                          "query.fast",
		"/audit/verify?min_seq=-1":                         "query.min_seq",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			for _, accept := range []string{"application/json", ndjsonType} {
				if accept == ndjsonType && strings.Contains(path, "limit=201") {
					continue // of an export it is fine
				}
				w := newWorld()
				got := ask(t, w.handler(t), "GET", prefix+path, "admin", "Accept: "+accept)
				refused(t, got, 400, "invalid_request")
				faultAt(t, got, location)
				if len(w.queries)+len(w.walks)+len(w.proved) > 0 {
					t.Error("went on all the same")
				}
			}
		})
	}
}

// In a query + is a space, and a zone east of Greenwich has a +.
func TestATimeWithAPlusIsExplained(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	for _, path := range []string{"/audit/orders/" + orderID.String() + "/state?at=", "/audit/events?since=", "/orders?from="} {
		got := ask(t, h, "GET", prefix+path+"2026-03-01T12:00:00+05:30", "admin")
		refused(t, got, 400, "invalid_request")
		if !strings.Contains(got.text, "write a + as %2B") {
			t.Errorf("%s: got %s", path, got.text)
		}
		if got := ask(t, h, "GET", prefix+path+"yesterday", "admin"); strings.Contains(got.text, "%2B") {
			t.Errorf("%s: got %s", path, got.text)
		}
	}
}

// A filter that is misspelled would let more through than was asked for.
func TestAParameterThatNobodyKnowsIsRefused(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	got := audited(t, h, "/events?typ=order.placed")
	refused(t, got, 400, "invalid_request")
	if !strings.Contains(got.text, "there is no such parameter") {
		t.Errorf("got %s", got.text)
	}
}

func TestANodeWithoutAuditSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t, func(c *Config) { c.Audit, c.Proofs = nil, nil })
	for _, path := range audits() {
		got := ask(t, h, "GET", prefix+path, "admin")
		refused(t, got, 503, "unavailable")
		if got.header.Get("Retry-After") == "" || got.body["detail"] == "" {
			t.Errorf("%s: %v %s", path, got.header, got.text)
		}
		refused(t, ask(t, h, "GET", prefix+path, "asha"), 403, "forbidden")
	}
	for _, path := range []string{"/verify", "/checkpoint", "/events/3/proof"} {
		if got := audited(t, h, path); !strings.Contains(got.text, "AUDIT_KEY") || !strings.Contains(got.text, "CHECKPOINT_DIR") {
			t.Errorf("%s does not say what to set: %s", path, got.text)
		}
	}
	refused(t, audited(t, h, "/events", "Accept: "+ndjsonType), 503, "unavailable")
}

func TestWhatTheAuditIsRefusedIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t)
	w.fail = domain.Errorf(domain.CodeUnavailable, "the tree does not continue what was signed: run app audit verify")
	for _, path := range audits() {
		got := ask(t, h, "GET", prefix+path, "admin")
		refused(t, got, 503, "unavailable")
		if !strings.Contains(got.text, "run app audit verify") {
			t.Errorf("%s: %s", path, got.text)
		}
	}
	w.fail = errSecret
	for _, path := range audits() {
		got := ask(t, h, "GET", prefix+path, "admin")
		refused(t, got, 500, "internal")
		if strings.Contains(got.text, "hunter2") {
			t.Errorf("%s shows what went wrong inside", path)
		}
	}
}

func TestAVerificationThatIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t)
	got := audited(t, h, "/verify")
	if problems, ok := got.body["problems"].([]any); got.status != 200 || got.body["ok"] != true || !ok || len(problems) != 0 || got.body["firstBadSeq"] != nil {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	bad := int64(7)
	w.verified[0].Report.OK, w.verified[0].Report.FirstBadSeq = false, &bad
	w.verified[0].Report.Problems = []proofs.Problem{{Seq: 7, UpTo: 9, Kind: proofs.KindEvent, Detail: "not what it was"}}
	got = audited(t, h, "/verify")
	if got.status != 200 || got.body["ok"] != false || got.body["firstBadSeq"] != 7.0 || got.header.Get("Retry-After") != "" {
		t.Errorf("got %d %v: %s", got.status, got.header, got.text)
	}
}

func TestAVerificationThatTakesLong(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.verified = []proofs.Verification{{Checked: 7, Of: 40}}
	got := audited(t, w.handler(t), "/verify")
	if got.status != 202 || got.header.Get("Retry-After") != "1" || got.header.Get("X-Seq") != "40" ||
		strings.TrimSpace(got.text) != `{"running":true,"checked":7,"of":40}` {
		t.Errorf("got %d %v: %s", got.status, got.header, got.text)
	}
}

// The wait for a verification is shorter than that for a request, so that there is an answer.
func TestTheWaitForAVerificationIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.block = true
		started := time.Now()
		refused(t, audited(t, w.handler(t), "/verify"), 503, "unavailable") // the fake's; the notary says how far it is
		if took := time.Since(started); took != 10*time.Second {
			t.Errorf("waited %s", took)
		}
	})
}

// A verification that was under way already may not have looked at what min_seq asks for.
func TestAVerificationIncludesMinSeq(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.verified = []proofs.Verification{whole(40), whole(42)}
	if got := audited(t, w.handler(t), "/verify?min_seq=41"); got.header.Get("X-Seq") != "42" || len(w.queries) != 2 {
		t.Errorf("got %v after %d", got.header, len(w.queries))
	}
	w = newWorld()
	w.verified = []proofs.Verification{whole(40), whole(42)}
	if got := audited(t, w.handler(t), "/verify?min_seq=40"); got.header.Get("X-Seq") != "40" || len(w.queries) != 1 {
		t.Errorf("got %v after %d", got.header, len(w.queries))
	}
	w = newWorld() // of a log that was cut off
	w.verified = []proofs.Verification{whole(40)}
	if got := audited(t, w.handler(t), "/verify?min_seq=41"); got.header.Get("X-Seq") != "40" || len(w.queries) != 2 {
		t.Errorf("got %v after %d", got.header, len(w.queries))
	}
}

func TestACheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t)
	got := audited(t, h, "/checkpoint")
	if got.status != 200 || got.body["seq"] != 42.0 || got.body["log"] != logID.String() || got.body["consistency"] != nil || got.body["note"] != "orderlog/…\n" {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	got = audited(t, h, "/checkpoint?since=40")
	if hashes, _ := got.body["consistency"].([]any); len(hashes) != 1 || fmt.Sprint(w.queries) != "[0 40]" {
		t.Errorf("asked for %v: %s", w.queries, got.text)
	}
	// Of the same tree no hash is needed. Who asked for the proof must not think that there is none.
	got = audited(t, h, "/checkpoint?since=42")
	if hashes, given := got.body["consistency"].([]any); !given || len(hashes) != 0 {
		t.Errorf("since itself: %s", got.text)
	}
}

func TestAProofHasTheCanonicalBytes(t *testing.T) {
	t.Parallel()
	got := audited(t, newWorld().handler(t), "/events/3/proof")
	if got.status != 200 || !strings.HasPrefix(got.text, `{"seq":3,"event":`+lineOf(3)+`,"leafHash":"`) {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	if hashes, ok := got.body["proof"].([]any); !ok || len(hashes) != 0 {
		t.Errorf("no hashes must be an empty list: %s", got.text)
	}
}

func TestAProofWaitsForTheTree(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.lagging = 1
	if got := audited(t, w.handler(t), "/events/42/proof"); got.status != 200 || len(w.proved) != 2 || fmt.Sprint(w.waited) != "[42]" {
		t.Errorf("got %d after %v and waiting for %v: %s", got.status, w.proved, w.waited, got.text)
	}
	w = newWorld()
	got := audited(t, w.handler(t), "/events/43/proof")
	refused(t, got, 503, "projection_behind")
	if got.header.Get("Retry-After") == "" || len(w.proved) != 1 {
		t.Errorf("got %v after %v", got.header, w.proved)
	}
	w = newWorld()
	refused(t, audited(t, w.handler(t), "/events/46/proof"), 404, "not_found")
	if len(w.waited) > 0 {
		t.Error("waited for what the log does not have")
	}
}

// The schemas of what is answered as others have it do not take the place of one another.
func TestTheAuditsSchemasAreNamedAfterIt(t *testing.T) {
	t.Parallel()
	var spec struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]json.RawMessage }
		}
	}
	if err := json.Unmarshal([]byte(ask(t, newWorld().handler(t), "GET", "/openapi.json", "").text), &spec); err != nil {
		t.Fatal(err)
	}
	for name, member := range map[string]string{
		"Problem": "code", "AuditProblem": "upTo", "Entry": "title", "AuditEntry": "correlationId", "AuditState": "deliveryAddress",
		"AuditReport": "firstBadSeq", "AuditCheckpoint": "consistency", "AuditProof": "leafHash", "AuditEvent": "meta",
	} {
		if spec.Components.Schemas[name].Properties[member] == nil {
			t.Errorf("schema %s has no %s", name, member)
		}
	}
	for _, schema := range []string{"AuditProof.event", "AuditEntry.data", "AuditEntry.meta", "AuditChange.from", "AuditChange.to"} {
		name, member, _ := strings.Cut(schema, ".")
		if got := string(spec.Components.Schemas[name].Properties[member]); strings.Contains(got, `"type"`) || strings.Contains(got, "base64") {
			t.Errorf("%s is no JSON of any kind, but %s", schema, got)
		}
	}
}

func TestWhichFormAClientTakes(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]string{
		"":                                       "",
		"*/*":                                    "",
		"application/*":                          "",
		"text/html":                              "",
		"application/json":                       "",
		"application/x-ndjson":                   ndjsonType,
		"application/ndjson":                     "application/ndjson",
		"Application/X-NDJSON":                   ndjsonType,
		"application/x-ndjson;charset=utf-8":     ndjsonType,
		"application/x-ndjson, */*":              ndjsonType,
		"application/x-ndjson;q=0.5, */*":        "",
		"application/x-ndjson, application/json": "",
		"application/json;q=0.9, application/x-ndjson":         ndjsonType,
		"application/json, application/x-ndjson;q=0.9":         "",
		"application/json;q=0, */*":                            ndjsonType,
		"application/x-ndjson;q=0":                             "",
		"application/x-ndjson;q=2":                             "",
		"application/x-ndjson;q=NaN":                           "",
		"application/x-ndjson;q=x":                             "",
		"application/x-ndjson;q=0.1, application/ndjson;q=0.2": "application/ndjson",
		"text/*;q=0.3, ;;, application/x-ndjson":               ndjsonType,
	} {
		if got := acceptedLines([]string{accept}); got != want {
			t.Errorf("%q: got %q, want %q", accept, got, want)
		}
	}
	if got := acceptedLines([]string{"text/html", "application/x-ndjson"}); got != ndjsonType {
		t.Errorf("two headers: got %q", got)
	}
}
