package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain"
)

// moment is what REST said of an order after a command.
type moment struct {
	command  string
	seq      int64
	order    map[string]any
	payments []any
}

// TestAnOrderIsReplayedAsItWas takes an order through an assignment, a reassignment, a payment, a refund of a part of it
// and a cancellation, notes what REST says after each, and then asks the audit about each of these moments.
func TestAnOrderIsReplayedAsItWas(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	erin := tokenFor(t, "erin", domain.RoleDelivery)
	for _, courier := range []string{s.dave, erin} {
		s.must(t, 200, "PATCH", "/api/v1/delivery/status", courier, map[string]any{"status": "online"})
	}
	placed := s.must(t, 201, "POST", "/api/v1/orders", s.ada, orderOf(s.product), "Idempotency-Key", "ada-1")
	order := placed.body["id"].(string)
	var moments []moment
	note := func(command string, seq int64) {
		t.Helper()
		o := s.must(t, 200, "GET", fmt.Sprintf("/api/v1/orders/%s?min_seq=%d", order, seq), s.admin, nil)
		p := s.must(t, 200, "GET", fmt.Sprintf("/api/v1/orders/%s/payments?min_seq=%d", order, seq), s.admin, nil)
		moments = append(moments, moment{command, seq, o.body, p.body["items"].([]any)})
	}
	do := func(status int, token, method, path string, body map[string]any) answer {
		t.Helper()
		a := s.must(t, status, method, "/api/v1"+path, token, body)
		note(method+" "+path, a.seq())
		return a
	}
	note("POST /orders", placed.seq())
	do(200, s.admin, "POST", "/orders/"+order+"/assign", map[string]any{"agentId": "dave"})
	do(200, s.admin, "POST", "/orders/"+order+"/assign", map[string]any{"agentId": "erin"})
	payment := do(201, s.ada, "POST", "/orders/"+order+"/payments", map[string]any{"method": "cod"}).body["id"].(string)
	do(200, erin, "POST", "/payments/"+payment+"/collect", nil)
	do(200, s.admin, "POST", "/payments/"+payment+"/refund", map[string]any{"amount": 500, "reason": "no basil"})
	last := do(200, s.admin, "POST", "/orders/"+order+"/cancel", map[string]any{"reason": "the oven broke"}).seq()

	history := s.must(t, 200, "GET", fmt.Sprintf("/api/v1/audit/orders/%s?changes=true&min_seq=%d", order, last), s.admin, nil)
	checkFacts(t, history, order, payment)
	times := map[int64]string{}
	for _, e := range entries(history) {
		times[int64(e["seq"].(float64))] = e["at"].(string)
	}
	for _, m := range moments {
		for _, at := range []string{"seq=" + strconv.FormatInt(m.seq, 10), "at=" + times[m.seq]} {
			state := s.must(t, 200, "GET", "/api/v1/audit/orders/"+order+"/state?"+at, s.admin, nil)
			if state.seq() != m.seq && strings.HasPrefix(at, "seq") {
				t.Errorf("the state of %s is as of %d", at, state.seq())
			}
			for member, want := range m.order {
				if got := state.body[member]; !reflect.DeepEqual(got, want) {
					t.Errorf("after %s (%s) the audit has %s %v, and REST said %v", m.command, at, member, got, want)
				}
			}
			if got := state.body["payments"]; !reflect.DeepEqual(got, any(m.payments)) {
				t.Errorf("after %s (%s) the audit has payments %v, and REST said %v", m.command, at, got, m.payments)
			}
		}
	}
	before := s.ask(t, "GET", fmt.Sprintf("/api/v1/audit/orders/%s/state?seq=%d", order, placed.seq()-1), s.admin, "")
	refused(t, before, http.StatusNotFound, "not_found")
	checkChanges(t, history, moments)
}

// checkFacts requires what was done: what, by whom, and why, in the order of seq.
func checkFacts(t *testing.T, history answer, order, payment string) {
	t.Helper()
	var told []string
	last := 0.0
	for _, e := range entries(history) {
		if seq := e["seq"].(float64); seq <= last {
			t.Errorf("seq %v comes after %v", seq, last)
		} else {
			last = seq
		}
		if e["correlationId"] == "" || e["at"] == "" || e["summary"] == "" {
			t.Errorf("it is not said from which request, when or what: %v", e)
		}
		if e["type"] == "inbox.entered" { // comes when the reaction comes to it
			if e["causationId"] == "" || !strings.HasPrefix(e["stream"].(string), "inbox_entry/") {
				t.Errorf("a message without a cause: %v", e)
			}
			continue
		}
		by := e["actor"].(map[string]any)
		line := fmt.Sprintf("%s by %s (%s)", e["type"], by["userId"], by["role"])
		if e["reason"] != "" {
			line += fmt.Sprintf(": %s", e["reason"])
		}
		told = append(told, line)
		if stream := e["stream"].(string); strings.HasPrefix(stream, "order/") && stream != "order/"+order ||
			strings.HasPrefix(stream, "payment/") && stream != "payment/"+payment {
			t.Errorf("%s is in stream %s", line, stream)
		}
	}
	want := []string{
		"order.placed by ada (customer)",
		"order.assigned by boss (admin)", "courier.order_taken by boss (admin)",
		"order.assigned by boss (admin)", "courier.order_released by boss (admin): reassigned", "courier.order_taken by boss (admin)",
		"payment.started by ada (customer)", "order.payment_opened by ada (customer)",
		"payment.captured by erin (delivery)",
		"payment.refunded by boss (admin): no basil",
		"order.cancelled by boss (admin): the oven broke", "payment.refund_due by boss (admin): the oven broke",
		"courier.order_released by boss (admin): the oven broke",
	}
	slices.Sort(told) // those of one command come in the order in which it decided them
	slices.Sort(want)
	if !slices.Equal(told, want) {
		t.Errorf("the history tells of\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	first := entries(history)[0]
	if first["idempotencyKey"] != "ada-1" || first["remoteAddr"] != "127.0.0.1" {
		t.Errorf("the request of the first event is %v", first)
	}
}

// checkChanges makes the changes of each event, one after the other, to nothing, and requires at each moment what REST
// said at it.
func checkChanges(t *testing.T, history answer, moments []moment) {
	t.Helper()
	state := map[string]any{"payments": []any{}}
	at := map[int64]map[string]any{}
	for _, e := range entries(history) {
		for _, c := range e["changes"].([]any) {
			change := c.(map[string]any)
			if err := apply(state, change["path"].(string), change["from"], change["to"]); err != nil {
				t.Errorf("seq %v changes %v: %v", e["seq"], change, err)
			}
		}
		at[int64(e["seq"].(float64))] = deepCopy(t, state)
	}
	for _, m := range moments {
		want := deepCopy(t, m.order)
		want["payments"] = deepCopy(t, map[string]any{"p": m.payments})["p"]
		for _, of := range append([]any{want}, want["payments"].([]any)...) {
			delete(of.(map[string]any), "updatedAt")
			delete(of.(map[string]any), "version")
		}
		if got := at[m.seq]; !reflect.DeepEqual(got, want) {
			t.Errorf("after %s the changes come to\n%v\nand REST said\n%v", m.command, got, want)
		}
	}
}

// apply makes one change to a document, and checks what was there before.
func apply(document any, pointer string, from, to any) error {
	name, rest, deeper := strings.Cut(pointer[1:], "/")
	switch d := document.(type) {
	case map[string]any:
		if deeper {
			if list, ok := d[name].([]any); ok && rest == strconv.Itoa(len(list)) { // one more
				d[name] = append(list, to)
				return nil
			}
			return apply(d[name], "/"+rest, from, to)
		}
		if !reflect.DeepEqual(d[name], from) {
			return fmt.Errorf("%s was %v", name, d[name])
		}
		d[name] = to
		return nil
	case []any:
		i, err := strconv.Atoi(name)
		if err != nil || i >= len(d) {
			return fmt.Errorf("there is no element %s", name)
		}
		if deeper {
			return apply(d[i], "/"+rest, from, to)
		}
		d[i] = to
		return nil
	}
	return fmt.Errorf("nothing is at %s", pointer)
}

func deepCopy(t *testing.T, m map[string]any) (copied map[string]any) {
	t.Helper()
	text, err := json.Marshal(m)
	if err == nil {
		err = json.Unmarshal(text, &copied)
	}
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

func entries(history answer) (all []map[string]any) {
	for _, item := range history.body["items"].([]any) {
		all = append(all, item.(map[string]any))
	}
	return all
}
