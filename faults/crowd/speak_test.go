package crowd

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/faults/history"
)

// mute is a link over which is said what a test looks at.
type mute struct{ said []string }

func (*mute) read() error { return nil }

func (m *mute) say(event string, data any, id int64) error {
	text, err := json.Marshal([]any{event, data, id})
	m.said = append(m.said, string(text))
	return err
}

func (*mute) close() {}

// online is a device that is registered and at a seq.
func online(t *testing.T, role domain.Role, cursor int64) (*device, *visit, *mute) {
	t.Helper()
	d := listener(t, ws, role, &script{})
	m := &mute{}
	v := &visit{link: m, asked: cursor, registered: true, pending: map[int64]question{}}
	d.begun, d.cursor, d.session, d.wanted = true, cursor, v, map[string]bool{}
	return d, v, m
}

func joinAnswer(room string, seq string, events ...string) reply {
	return reply{data: json.RawMessage(`{"room":"` + room + `","seq":` + seq + `,"events":[` + strings.Join(events, ",") + `],"more":false}`)}
}

func TestARoomIsJoinedAndLeft(t *testing.T) {
	t.Parallel()
	d, v, m := online(t, domain.RoleAdmin, 9)
	d.join(v, "order:o1", 3)
	d.join(v, "delivery:k1", -1)
	if err := d.answered(1, joinAnswer("order:o1", "8", eventFrame(3, 4), eventFrame(4, 7))); err != nil {
		t.Error(err)
	}
	if err := d.answered(2, joinAnswer("delivery:k1", "9")); err != nil {
		t.Error(err)
	}
	d.leave(v, "order:o1")
	if err := d.answered(3, joinAnswer("order:o1", "9")); err != nil {
		t.Error(err)
	}
	wantNoted(t, noted(d.log.Log), "asked:order:o1 asked:delivery:k1 joined:order:o1:8 order:status:update:3<4! order:status:update:4<7! joined:delivery:k1:9 left:order:o1! left:order:o1!")
	want := `["join:order",{"lastSeq":3,"orderId":"o1"},1] ["join:delivery",{"deliveryId":"k1"},2] ["leave:order",{"orderId":"o1"},3]`
	if got := strings.Join(m.said, " "); got != want {
		t.Errorf("said %s", got)
	}
	if d.cursor != 9 || len(d.joined) != 1 {
		t.Errorf("at %d, in %v", d.cursor, d.joined)
	}
}

// A node that is behind what the client knows says where to go on from.
func TestARoomIsJoinedAgainWhenThereIsMore(t *testing.T) {
	t.Parallel()
	d, v, m := online(t, domain.RoleAdmin, 9)
	d.join(v, "order:o1", 3)
	if err := d.answered(1, reply{data: json.RawMessage(`{"room":"order:o1","seq":5,"events":[],"more":true}`)}); err != nil {
		t.Error(err)
	}
	d.joinAgain(v)
	d.joinAgain(v)
	if err := d.answered(2, joinAnswer("order:o1", "8", eventFrame(5, 7))); err != nil {
		t.Error(err)
	}
	wantNoted(t, noted(d.log.Log), "asked:order:o1 asked:order:o1 joined:order:o1:8 order:status:update:5<7!")
	want := `["join:order",{"lastSeq":3,"orderId":"o1"},1] ["join:order",{"lastSeq":5,"orderId":"o1"},2]`
	if got := strings.Join(m.said, " "); got != want {
		t.Errorf("said %s", got)
	}
}

func TestAnswersThatNoServerMayGive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after  int64
		answer reply
		fault  string
	}{
		"another room":              {-1, joinAnswer("order:o2", "8"), "is answered"},
		"no seq":                    {-1, reply{data: json.RawMessage(`{"room":"order:o1","events":[],"more":false}`)}, "is answered"},
		"a past that nobody wanted": {-1, joinAnswer("order:o1", "8", eventFrame(3, 4)), "without a past"},
		"a past that has a gap":     {3, joinAnswer("order:o1", "8", eventFrame(3, 4), eventFrame(5, 7)), "is broken"},
		"a past from before":        {3, joinAnswer("order:o1", "8", eventFrame(2, 4)), "is broken"},
		"a past from beyond":        {3, joinAnswer("order:o1", "8", eventFrame(3, 9)), "is broken"},
		"a past that is none":       {3, joinAnswer("order:o1", "8", `{}`), "has {}"},
		"an error that is not its":  {3, reply{code: "invalid_request"}, "by the error"},
		"more than there can be":    {3, reply{data: json.RawMessage(`{"room":"order:o1","seq":4,"events":[` + eventFrame(3, 4) + `],"more":true}`)}, "has more"},
		"more, and goes back":       {3, reply{data: json.RawMessage(`{"room":"order:o1","seq":2,"events":[],"more":true}`)}, "has more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, v, _ := online(t, domain.RoleAdmin, 9)
			d.join(v, "order:o1", c.after)
			if err := d.answered(1, c.answer); err == nil || !strings.Contains(noted(d.log.Log), c.fault) {
				t.Errorf("%v, noted %s", err, noted(d.log.Log))
			}
		})
	}
}

func TestARoomThatMayNotBeJoinedIsNoFault(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"forbidden", "unavailable", "overloaded"} {
		d, v, _ := online(t, domain.RoleCustomer, 9)
		d.join(v, "order:o1", -1)
		if err := d.answered(1, reply{code: code}); err != nil || len(d.joined) != 0 {
			t.Errorf("%s: %v, in %v", code, err, d.joined)
		}
		wantNoted(t, noted(d.log.Log), "asked:order:o1 denied:order:o1:"+code)
		if err := d.left("order:o1"); err != nil { // of an earlier stay
			t.Errorf("%s: %v", code, err)
		}
	}
}

// Over a stream, which has one direction, other rooms are asked for by coming back.
func TestOverAStreamRoomsAreAskedForByComingBack(t *testing.T) {
	t.Parallel()
	d, v, m := online(t, domain.RoleCustomer, 9)
	d.log.Transport = sse
	d.joined["order:o1"] = 3
	d.join(v, "order:o2", -1)
	d.leave(v, "order:o1")
	if len(m.said) > 0 || len(d.joined) != 0 || len(d.more) != 1 || noted(d.log.Log) != "left:order:o1!" {
		t.Errorf("said %v, in %v, wants %v, noted %s", m.said, d.joined, d.more, noted(d.log.Log))
	}
}

// A location that is said over the socket has the outcome of its answer, and none without one.
func TestWhatComesOfALocationOverTheSocket(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(d *device)
		want   history.Outcome
		seq    int64
	}{
		"it is taken":                 {func(d *device) { _ = d.answered(1, reply{data: json.RawMessage(`{"kept":true,"seq":12}`)}) }, history.Acknowledged, 12},
		"it is not kept":              {func(d *device) { _ = d.answered(1, reply{data: json.RawMessage(`{"kept":false}`)}) }, history.Acknowledged, 0},
		"it is refused":               {func(d *device) { _ = d.answered(1, reply{code: "forbidden"}) }, history.Refused, 0},
		"its outcome is not known":    {func(d *device) { _ = d.answered(1, reply{code: "outcome_unknown"}) }, history.Unknown, 0},
		"the connection is lost":      {func(d *device) { d.mu.Unlock(); d.closed(errGone); d.mu.Lock() }, history.Unknown, 0},
		"the client does not wait on": {func(*device) {}, history.Unknown, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, v, _ := online(t, domain.RoleDelivery, 9)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			said := make(chan answer)
			go func() {
				a, _ := d.tellLocation(ctx, map[string]any{"orderId": "o1"})
				said <- a
			}()
			for asked := false; !asked; pause(t.Context(), time.Millisecond) {
				d.mu.Lock()
				if asked = len(v.pending) == 1; asked {
					c.answer(d)
				}
				d.mu.Unlock()
			}
			if strings.Contains(name, "wait") {
				cancel()
			}
			if a := <-said; a.outcome() != c.want || a.seq != c.seq {
				t.Errorf("%+v is %v, want %v", a, a.outcome(), c.want)
			}
		})
	}
}

func TestNothingIsSaidBeforeItIsRegistered(t *testing.T) {
	t.Parallel()
	d, v, m := online(t, domain.RoleCustomer, 9)
	v.registered = false
	d.rooms = func(*rand.Rand) []string { return []string{"order:o1"} }
	d.ping(v)
	d.changeRooms(v)
	if len(m.said) > 0 {
		t.Errorf("said %s", m.said)
	}
	v.registered = true
	d.ping(v)
	if len(m.said) != 1 {
		t.Errorf("said %s", m.said)
	}
}
