package replay_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/replay"
)

func TestAnEventIsIndexedByWhatItSaysWhateverThatIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.MustParse("0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55")
	cases := []struct {
		data    string
		orderID bool
	}{
		{`{"orderId": "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55"}`, true},
		{`{"orderId": "0190A5E4-3C4E-7B2A-9F51-2F6F3F9E1C55", "a": 1}`, true},
		{`{"a": {"orderId": "no"}, "b": ["]", "}", {"orderId": 1}], "orderId": "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55", "z": null}`, true},
		{`{"text": "\"orderId\": \\", "orderId": "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55"}`, true},
		{`{"inside": {"orderId": "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55"}}`, false},
		{`{"ORDERID": "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55", "orderid": "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55"}`, false},
		{`{"orderId": "{0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55}"}`, false},
		{`{"orderId": "0190a5e43c4e7b2a9f512f6f3f9e1c55"}`, false},
		{`{"orderId": "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c5x"}`, false},
		{`{"orderId": ["0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55"]}`, false},
		{`{"orderId": 5}`, false},
		{`{"orderId": null}`, false},
		{`{"orderId": ""}`, false},
		{`{}`, false},
		{`[{"orderId": "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55"}]`, false},
		{`["orderId", "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55"]`, false},
		{`"orderId"`, false},
		{`17`, false},
		{`null`, false},
	}
	users := []string{"ada", "", `o'neil "the\ boss" ☕`, strings.Repeat("é", 128), "a\nb", strings.Repeat("x", 5000)}
	var seq int64
	for i, c := range cases {
		seq = w.append(t, eventstore.StreamID{Type: "odd", ID: id}, eventstore.Meta{UserID: users[i%len(users)]},
			eventstore.NewEvent{Type: "odd.event", Data: json.RawMessage(c.data)})
	}
	// Meta that no append of ours makes.
	for i, meta := range []string{`{"userId": 5}`, `[]`, `"userId"`, `{"userId": null}`} {
		w.exec(t, `INSERT INTO events SELECT $1, gen_random_uuid(), 'odd', $2, $1, 'odd.event', '{}', $3, now()`, seq+int64(i)+1, id, meta)
		w.exec(t, `UPDATE log_head SET seq = $1`, seq+int64(i)+1)
	}
	w.run(t)
	w.waitFor(t, seq+4)

	rows, err := w.pool.Query(t.Context(), `SELECT seq, type, actor, order_id FROM audit_index ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Seq         int64
		Type, Actor string
		OrderID     uuid.NullUUID
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(cases)+4 {
		t.Fatalf("%d rows", len(got))
	}
	for i, r := range got {
		want := row{Seq: int64(i) + 1, Type: "odd.event"}
		name := "odd meta"
		if i < len(cases) {
			name = cases[i].data
			if want.OrderID.Valid = cases[i].orderID; cases[i].orderID {
				want.OrderID.UUID = id
			}
			if u := users[i%len(users)]; len(u) < 5000 {
				want.Actor = u
			}
		}
		if r != want {
			t.Errorf("%s: %+v; want %+v", name, r, want)
		}
	}
	// Whoever checks the index goes by the same rule.
	err = w.store.Scan(t.Context(), 0, seq+4, func(e eventstore.Recorded) error {
		r, k := got[e.Seq-1], replay.KeysOf(e)
		if k.Actor != r.Actor || k.OrderID != r.OrderID {
			t.Errorf("seq %d has keys %+v and row %+v", e.Seq, k, r)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Member takes what encoding/json takes, and finds the same; of what is no JSON it must only come back.
func FuzzAMemberOfAnObject(f *testing.F) {
	for _, s := range []string{
		`{"a":1}`, `{"b": [1, {"a": 2}], "a" : "x\"y" }`, `{}`, `[]`, `{"a":{"a":{}}}`, ` {"":0,"a":[]}`, `{"a`, `{"`, `{"a":`, `{"a":"\`, `{"a"}`, `{]`,
		`{"b":"\\","a":-1.5e3}`, "{\"a\"\n:\ttrue}", `{,"a":1}`, `{"a":}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		got := replay.Member(object, "a")
		keys := replay.KeysOf(eventstore.Recorded{Data: object, Meta: object})
		var members map[string]json.RawMessage
		if json.Unmarshal(object, &members) != nil || strings.Contains(string(object), `\u`) || repeats(object) {
			return
		}
		if string(got) != string(members["a"]) {
			t.Errorf("of %s: %q; want %q", object, got, members["a"])
		}
		var actor string
		if json.Unmarshal(members["userId"], &actor) == nil && len(actor) <= 512 && keys.Actor != actor {
			t.Errorf("of %s: actor %q; want %q", object, keys.Actor, actor)
		}
	})
}

// repeats says whether an object has a name twice: then jsonb would have kept the last.
func repeats(object []byte) bool {
	d := json.NewDecoder(strings.NewReader(string(object)))
	if _, err := d.Token(); err != nil {
		return true
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil || seen[fmt.Sprint(name)] {
			return true
		}
		seen[fmt.Sprint(name)] = true
	}
	return false
}

func BenchmarkKeysOf(b *testing.B) {
	e := eventstore.Recorded{
		Data: json.RawMessage(`{"to": "confirmed", "from": "placed", "agentId": "", "message": "Your order is confirmed", "orderId": "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55", "customerId": "c-1", "orderNumber": "ORD-000001"}`),
		Meta: json.RawMessage(`{"role": "admin", "userId": "ada", "remoteAddr": "192.0.2.7", "correlationId": "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55"}`),
	}
	for b.Loop() {
		replay.KeysOf(e)
	}
}
