package replay_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/replay"
)

func TestWhatEachEventChanged(t *testing.T) {
	t.Parallel()
	e := newEvening(t, func(*evening) {})
	h := e.history(t, replay.HistoryQuery{OrderID: e.order, Changes: true})
	got := map[string][]string{}
	for _, n := range h.Entries {
		if n.Changes == nil {
			t.Errorf("nobody knows what seq %d, %s, changed", n.Seq, n.Type)
		}
		for _, c := range n.Changes {
			if n.Type != "order.placed" && c.Path != "/payments/0" {
				got[n.Type] = append(got[n.Type], fmt.Sprintf("%s %s > %s", c.Path, c.From, c.To))
			}
			if (n.Type == "order.placed" || c.Path == "/payments/0") && (c.From != nil || strings.Contains(string(c.To), "version")) {
				t.Errorf("%s: %+v", n.Type, c)
			}
		}
	}
	want := map[string][]string{
		"order.assigned":         {`/agentId "" > "raj"`, `/agentId "raj" > "sam"`},
		"order.status_changed":   {`/status "placed" > "confirmed"`, `/status "confirmed" > "preparing"`, `/status "preparing" > "ready"`, `/status "ready" > "out_for_delivery"`},
		"order.payment_opened":   {fmt.Sprintf(`/paymentId "" > "%s"`, e.payment)},
		"payment.captured":       {`/payments/0/captured 0 > 1710`, `/payments/0/status "pending" > "captured"`},
		"payment.refunded":       {`/payments/0/refunded 0 > 500`, `/payments/0/refunds/0  > {"amount":500,"id":"ID","reason":"one was cold","status":"requested"}`, `/payments/0/status "captured" > "partially_refunded"`},
		"payment.refund_settled": {`/payments/0/refunds/0/status "requested" > "done"`},
		"payment.refund_due":     {`/payments/0/refundDue 0 > 1210`},
		"order.cancelled":        {`/cancelReason "" > "nobody at home"`, `/status "out_for_delivery" > "cancelled"`},
	}
	if refunds := got["payment.refunded"]; len(refunds) == 3 {
		_, rest, _ := strings.Cut(refunds[1], `"id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		refunds[1] = strings.Replace(refunds[1], id, "ID", 1)
	}
	for typ, changes := range want {
		if !slices.Equal(got[typ], changes) {
			t.Errorf("%s changed\n%q, want\n%q", typ, got[typ], changes)
		}
		delete(got, typ)
	}
	if len(got) > 0 {
		t.Errorf("also %v", got)
	}
	var first []string
	for _, c := range h.Entries[0].Changes {
		first = append(first, c.Path)
	}
	if !slices.IsSorted(first) || !slices.Contains(first, "/items") || len(first) < 15 {
		t.Errorf("at first %q were there", first)
	}
}

// The changes of all events, one after another, are the state.
func TestChangesAddUpToTheState(t *testing.T) {
	t.Parallel()
	e := newEvening(t, func(*evening) {})
	state := any(map[string]any{"payments": []any{}})
	for _, n := range e.history(t, replay.HistoryQuery{OrderID: e.order, Changes: true}).Entries {
		for _, c := range n.Changes {
			state = put(t, state, strings.Split(c.Path, "/")[1:], c)
		}
		s, err := e.log.State(t.Context(), e.order, replay.Moment{Seq: n.Seq})
		if err != nil {
			t.Fatal(err)
		}
		want, err := replay.Plain(asJSON(t, s))
		if err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(want, func(name string, _ any) bool {
			return slices.Contains([]string{"seq", "at", "updatedAt", "version"}, name)
		})
		for _, p := range want["payments"].([]any) {
			maps.DeleteFunc(p.(map[string]any), func(name string, _ any) bool { return name == "updatedAt" || name == "version" })
		}
		if got := asJSON(t, state); got != asJSON(t, want) {
			t.Fatalf("after seq %d, %s, the changes come to\n%s, the state is\n%s", n.Seq, n.Type, got, asJSON(t, want))
		}
	}
}

// put does a change to a value, and holds it to what was there before.
func put(t *testing.T, value any, path []string, c replay.Change) any {
	t.Helper()
	if len(path) == 0 {
		if value != nil && asJSON(t, value) != string(c.From) {
			t.Errorf("%s was %s, not %s", c.Path, asJSON(t, value), c.From)
		}
		var to any
		if err := json.Unmarshal(c.To, &to); err != nil {
			t.Fatal(err)
		}
		return to
	}
	switch v := value.(type) {
	case map[string]any:
		v[path[0]] = put(t, v[path[0]], path[1:], c)
		return v
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i > len(v) {
			t.Fatalf("%s does not lead into %s", c.Path, asJSON(t, v))
		}
		if i == len(v) {
			v = append(v, nil)
		}
		v[i] = put(t, v[i], path[1:], c)
		return v
	}
	t.Fatalf("%s does not lead into %v", c.Path, value)
	return nil
}

func TestDifferencesHaveThePathsWhereTheyAre(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ before, after, want string }{
		{`{"a": 1}`, `{"a": 1}`, ``},
		{`{"a": 9007199254740993}`, `{"a": 9007199254740992}`, `/a 9007199254740993 > 9007199254740992`},
		{`{"a": null}`, `{"a": ""}`, `/a null > ""`},
		{`{"a": null}`, `{}`, `/a null > `},
		{`{}`, `{"a": null}`, `/a  > null`},
		{`{"a": {"b/c~d": 1}}`, `{"a": {"b/c~d": 2}}`, `/a/b~1c~0d 1 > 2`},
		{`{"a": [1]}`, `{"a": [1, 2, 3]}`, `/a/1  > 2, /a/2  > 3`},
		{`{"a": [1, 2, 3]}`, `{"a": [4]}`, `/a/1 2 > , /a/2 3 > , /a/0 1 > 4`},
		{`{"a": {"x": 1}}`, `{"a": [1]}`, `/a {"x":1} > [1]`},
		{`{"a/b": [[]]}`, `{"a/b": [[7]]}`, `/a~1b/0/0  > 7`},
		{`{"-": 1, "0": 2}`, `{"-": 3}`, `/- 1 > 3, /0 2 > `},
	} {
		before, err := replay.Plain(c.before)
		if err != nil {
			t.Fatal(err)
		}
		after, err := replay.Plain(c.after)
		if err != nil {
			t.Fatal(err)
		}
		changes, err := replay.Compare(before, after)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range changes {
			got = append(got, fmt.Sprintf("%s %s > %s", d.Path, d.From, d.To))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s to %s: %s; want %s", c.before, c.after, strings.Join(got, ", "), c.want)
		}
	}
}
