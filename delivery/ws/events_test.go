package ws

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/internal/auth"
)

// The table is what is served: every event in it takes its data and gives its acknowledgement, and there is no other.
func TestTheTableOfClientEventsIsWhatIsServed(t *testing.T) {
	t.Parallel()
	s := serve(t, options{session: func(c *session.Config) {
		c.Locator = locator(func(context.Context, auth.Identity, string, uuid.UUID, courier.Point) (session.Located, error) {
			return session.Located{Kept: true, At: time.Unix(1, 0), Seq: 1}, nil
		})
	}})
	credential := token("ann", domain.RoleAdmin, time.Hour)
	examples := map[string]string{ // with every member there is
		"register":          fmt.Sprintf(`{"token":%q,"lastSeq":0,"log":%q,"rooms":[],"userId":"ann","role":"admin"}`, credential, s.feed.ID),
		"refresh":           fmt.Sprintf(`{"token":%q}`, credential),
		"join:order":        fmt.Sprintf(`{"orderId":%q,"lastSeq":0}`, order1),
		"leave:order":       fmt.Sprintf(`{"orderId":%q}`, order1),
		"join:delivery":     `{"deliveryId":"dora","lastSeq":0}`,
		"leave:delivery":    `{"deliveryId":"dora"}`,
		"delivery:location": fmt.Sprintf(`{"orderId":%q,"latitude":1,"longitude":2,"speed":3,"heading":4,"accuracy":5}`, order1),
		"ping":              `null`,
	}
	names := map[string]bool{}
	for _, e := range session.ClientEvents() {
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			c := s.dial(t, nil)
			if e.Name != "register" {
				c.register("ann", domain.RoleAdmin, "")
			}
			data, ok := examples[e.Name]
			if !ok {
				t.Fatal("there is no example of it")
			}
			if e.Data != nil {
				if err := checkType(json.RawMessage(data), e.Data); err != nil {
					t.Error(err)
				}
			}
			c.say(`{"event":%q,"data":%s,"id":1}`, e.Name, data)
			m := c.hear()
			for m.Ack == nil { // what else it causes is told too
				m = c.hear()
			}
			var parts struct{ Data json.RawMessage }
			if err := json.Unmarshal([]byte(m.raw), &parts); err != nil || m.Error != nil {
				t.Fatalf("got %s, %v", m.raw, err)
			}
			if err := checkType(parts.Data, e.Ack); err != nil {
				t.Error(err)
			}
		})
		if names[e.Name] || e.Summary == "" {
			t.Errorf("%s: there twice, or without a summary", e.Name)
		}
		names[e.Name] = true
	}
	if len(names) != len(examples) {
		t.Errorf("%d events, %d examples", len(names), len(examples))
	}
	c := s.dial(t, nil)
	c.register("ann", domain.RoleAdmin, "")
	for _, name := range []string{"no:such", "Ping", "ping ", "registered"} {
		if m := c.ask(name, "null"); m.code() != "unknown_event" {
			t.Errorf("%q is served: %s", name, m.raw)
		}
	}
}
