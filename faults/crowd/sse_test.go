package crowd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain"
)

func streamed(id int64, event, data string) string {
	if id < 0 {
		return fmt.Sprintf("event: %s\ndata: %s\n\n", event, data)
	}
	return fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", id, event, data)
}

func streamedEvent(seq int64) string {
	return streamed(seq, "order:status:update", fmt.Sprintf(`{"orderId":"o1","status":"ready","seq":%d}`, seq))
}

func TestWhatIsToldOverAStreamIsNoted(t *testing.T) {
	t.Parallel()
	d := listener(t, sse, domain.RoleCustomer, &script{messages: []string{
		"retry: 1200\n", streamed(5, "registered", hello(domain.RoleCustomer, 5, false)), streamedEvent(7), ": alive\n\n",
		streamed(9, "checkpoint", `{"seq":9}`), streamed(-1, "reconnect", `{"afterMs":1}`),
		"id: 11\nevent: order:status:update\ndata: {\"seq\":11}\n", // is cut short, so it is no event
		"da", // nor is this a line
	}})
	wantNoted(t, listen(t, d), "opened:-1 registered:5 order:status:update:7 checkpoint:9 reconnect:1 closed")
	if at := d.reached(); at != 9 {
		t.Errorf("it is at %d", at)
	}
	other := listener(t, ws, domain.RoleCustomer, &script{messages: []string{registeredFrame(5), eventFrame(5, 7)}})
	listen(t, other)
	if a, b := d.log.Log[2], other.log.Log[2]; a.Digest != b.Digest || a.Subject != b.Subject || a.Digest == 0 {
		t.Errorf("over a stream it is %+v, over a WebSocket %+v", a, b)
	}
}

// One half of the devices says where it is by the header that an EventSource sends, the other one in the address.
func TestWhoComesBackToAStreamSaysWhereItIs(t *testing.T) {
	t.Parallel()
	for _, byHeader := range []bool{true, false} {
		s := &script{messages: []string{streamed(-1, "registered", hello(domain.RoleCustomer, 20, true, "order:o1")), streamed(20, "caught_up", `{"seq":20}`)}}
		d := listener(t, sse, domain.RoleCustomer, s)
		d.reads, d.begun, d.cursor, d.logID, d.joined["order:o1"] = byHeader, true, 7, "L", 3
		wantNoted(t, listen(t, d), "opened:7 registered:20! joined:order:o1:7 caught_up:20 closed")
		want := "lastSeq=7&log=L&room=order%3Ao1 "
		if byHeader {
			want = "log=L&room=order%3Ao1 7"
		}
		if s.queries[0] != want {
			t.Errorf("it asked for %q, want %q", s.queries[0], want)
		}
	}
}

// A page that can send no header is let in by a ticket, which it asks for each time.
func TestAStreamIsOpenedByATicket(t *testing.T) {
	t.Parallel()
	s := &script{ticket: `{"ticket":"abc"}`, messages: []string{streamed(5, "registered", hello(domain.RoleCustomer, 5, false))}}
	d := listener(t, sse, domain.RoleCustomer, s)
	d.tickets = true
	wantNoted(t, listen(t, d), "opened:-1 registered:5 closed")
	if s.queries[1] != "ticket=abc " || len(s.said("Bearer token-of-ann")) != 1 {
		t.Errorf("it asked for %q, and said %v", s.queries, s.said(""))
	}
	s.ticket = "{}"
	if got := listen(t, d); !strings.Contains(got, "FAULTY(a ticket") {
		t.Errorf("noted %s", got)
	}
}

func TestWhatNoServerMaySayOverAStream(t *testing.T) {
	t.Parallel()
	registered := streamed(5, "registered", hello(domain.RoleCustomer, 5, false))
	for name, c := range map[string]struct{ says, fault string }{
		"a line of no known field":      {"sequence: 4\n\n", "does not know"},
		"a retry that is no time":       {"retry: soon\n", "come back after"},
		"data that is no JSON":          {streamed(6, "order:new", "{"), "no object"},
		"an event without an id":        {streamed(-1, "order:new", `{"seq":6}`), "no id"},
		"an event without a seq":        {streamed(6, "order:new", `{}`), "no seq"},
		"an id that is not the seq":     {streamed(7, "order:new", `{"seq":6}`), "not the seq"},
		"left with an id":               {streamed(7, "left", `{"room":"order:o1"}`), "has an id"},
		"an event that there is not":    {streamed(6, "order:lost", `{"seq":6}`), "there is no message"},
		"an end for no known reason":    {streamed(-1, "error", `{"code":"bad_message"}`), "the stream ends because of"},
		"a start without its place":     {"FIRST" + streamed(-1, "registered", hello(domain.RoleCustomer, 5, false)), "the start has an id"},
		"an event before registered":    {"FIRST" + streamedEvent(6), "before registered"},
		"a line that never ends":        {"data: " + strings.Repeat("x", largest) + "\n", "more than"},
		"lines of an event without end": {strings.Repeat("event: "+strings.Repeat("x", 1000)+"\n", 1100), "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{messages: []string{registered, c.says}}
			if first, ok := strings.CutPrefix(c.says, "FIRST"); ok {
				s.messages = []string{first}
			}
			got := listen(t, listener(t, sse, domain.RoleCustomer, s))
			if !strings.Contains(got, "FAULTY(") || !strings.Contains(got, c.fault) {
				t.Errorf("noted %s, want %s", got, c.fault)
			}
		})
	}
}

// What passes by itself is told in a stream, too, and is no fault.
func TestAStreamMayEndForAKnownReason(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"unavailable", "overloaded", "rate_limited", "token_expired"} {
		d := listener(t, sse, domain.RoleCustomer, &script{messages: []string{"retry: 100\n", streamed(-1, "error", `{"code":"`+code+`"}`)}})
		wantNoted(t, listen(t, d), "opened:-1 closed")
	}
}
