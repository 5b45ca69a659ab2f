package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// TestTheAuditsAnswersProveEachOther does what an auditor does who has nothing but the answers: the lines of an export are
// the leaves of the tree whose root is signed, and the same bytes are on every page and in every proof.
func TestTheAuditsAnswersProveEachOther(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	// Text that encoders like to write in another way.
	const hard = "<b>&amp; \u2028 é \"x\" \\u00e9 \\"
	placed := s.must(t, 201, "POST", "/api/v1/orders", s.ada, orderOf(s.product))
	last := s.must(t, 200, "POST", "/api/v1/orders/"+placed.body["id"].(string)+"/cancel", s.ada, map[string]any{"reason": hard}).seq()
	s.must(t, 200, "GET", fmt.Sprintf("/api/v1/audit/events?min_seq=%d", last), s.admin, nil)

	text, head := s.bytes(t, "/api/v1/audit/events", "application/x-ndjson")
	lines := strings.Split(text, "\n")
	lines = lines[:len(lines)-1] // behind the last one is nothing
	if int64(len(lines)) != head || head < last {
		t.Fatalf("an export of %d lines is as of %d", len(lines), head)
	}
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "<b>&amp; \u2028 é ") }) {
		t.Error("the text is not as it was written")
	}
	page, _ := s.bytes(t, fmt.Sprintf("/api/v1/audit/events?limit=200&to=%d", head), "")
	if want := `{"items":[` + strings.Join(lines, ",") + `],"next":null}` + "\n"; page != want {
		t.Errorf("a page has\n%s\nand the export\n%s", page, want)
	}

	checkpoint := s.must(t, 200, "GET", fmt.Sprintf("/api/v1/audit/checkpoint?min_seq=%d&since=1", head), s.admin, nil)
	verifier, err := note.NewVerifier(checkpoint.body["publicKey"].(string))
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []int64{1, last, head} {
		text, size := s.bytes(t, fmt.Sprintf("/api/v1/audit/events/%d/proof", seq), "")
		if !strings.HasPrefix(text, fmt.Sprintf(`{"seq":%d,"event":%s,"leafHash":`, seq, lines[seq-1])) {
			t.Errorf("the proof of %d is of other bytes: %s", seq, text)
		}
		checkProof(t, text, seq, size, verifier)
	}

	report := s.must(t, 200, "GET", fmt.Sprintf("/api/v1/audit/verify?min_seq=%d", head), s.admin, nil)
	if report.body["ok"] != true || report.seq() < head {
		t.Errorf("verified up to %d: %v", report.seq(), report.body)
	}
	refused(t, s.ask(t, "GET", "/api/v1/audit/events/1000000/proof", s.admin, ""), 404, "not_found")
	refused(t, s.ask(t, "GET", "/api/v1/audit/events?type=order.eaten", s.admin, "", "Accept", "application/x-ndjson"), 400, "invalid_request")
	refused(t, s.ask(t, "GET", "/api/v1/audit/events?stream=order", s.admin, ""), 400, "invalid_request")
	refused(t, s.ask(t, "GET", "/api/v1/audit/checkpoint?since=1000000", s.admin, ""), 400, "invalid_request")
	refused(t, s.ask(t, "GET", "/api/v1/audit/orders/"+placed.body["id"].(string)+"/state?seq=1000000", s.admin, ""), 400, "invalid_request")
}

// checkProof holds a proof to the checkpoint in it, and that to a key.
func checkProof(t *testing.T, text string, seq, size int64, key note.Verifier) {
	t.Helper()
	var proof struct {
		Event      json.RawMessage
		Proof      []tlog.Hash
		Checkpoint string
	}
	if err := json.Unmarshal([]byte(text), &proof); err != nil {
		t.Fatal(err)
	}
	signed, err := note.Open([]byte(proof.Checkpoint), note.VerifierList(key))
	if err != nil {
		t.Fatalf("the checkpoint of %d is not signed by the key that is published: %v", seq, err)
	}
	said := strings.Split(signed.Text, "\n") // the log, the size, the root
	root, err := tlog.ParseHash(said[2])
	if err != nil || said[1] != fmt.Sprint(size) {
		t.Fatalf("a checkpoint of a tree of %d says %q: %v", size, signed.Text, err)
	}
	if err := tlog.CheckRecord(proof.Proof, size, root, seq-1, tlog.RecordHash(proof.Event)); err != nil {
		t.Errorf("event %d: %v", seq, err)
	}
}

// bytes is what an admin reads, as it came, and up to which seq it is so.
func (s shop) bytes(t *testing.T, path, accept string) (string, int64) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.admin)
	request.Header.Set("Accept", accept)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s is answered %s: %v %s", path, response.Status, err, text)
	}
	if err := s.rest.Check(http.MethodGet, path, response.StatusCode, response.Header, text); err != nil {
		t.Error(err)
	}
	return string(text), answer{header: response.Header}.seq()
}
