package projections_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

func TestAnEventIsDecodedOnce(t *testing.T) {
	t.Parallel()
	decode := projections.Decoding()
	recorded := func(seq int64, message string) eventstore.Recorded {
		t.Helper()
		typ, data, err := domain.Encode(business.Closed{Message: message})
		if err != nil {
			t.Fatal(err)
		}
		return eventstore.Recorded{Seq: seq, ID: uuid.New(), Type: typ, Data: data}
	}
	expect := func(r eventstore.Recorded, message string) {
		t.Helper()
		e, err := decode(r)
		if b, ok := e.Body.(business.Closed); err != nil || !ok || b.Message != message || e.Seq != r.Seq {
			t.Errorf("seq %d is %+v (%v), want %.20q", r.Seq, e.Body, err, message)
		}
	}
	first := recorded(1, "one")
	expect(first, "one")
	again := first
	again.Data = json.RawMessage(`no JSON`) // shows that nobody looks
	expect(again, "one")
	expect(recorded(1, "of another log"), "of another log")
	expect(recorded(2, "two"), "two")
	expect(recorded(4097, "far on"), "far on")

	large := recorded(3, strings.Repeat("x", 20<<10))
	expect(large, strings.Repeat("x", 20<<10))
	large.Data = recorded(3, "it was not kept").Data
	expect(large, "it was not kept")

	broken := eventstore.Recorded{Seq: 9, ID: uuid.New(), Type: first.Type, Data: json.RawMessage(`no JSON`)}
	if _, err := decode(broken); err == nil || !strings.Contains(err.Error(), "seq 9") {
		t.Errorf("what can't be decoded is: %v", err)
	}
}
