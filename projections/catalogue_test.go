package projections_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

// What clients were promised: each event with its channels and what its data has at least.
var promised = []struct{ event, channels, data string }{
	{"business:status:update", "all", "isOpen businessName message"},
	{"order:new", "role:admin role:delivery", "orderId orderNumber customerName items totalAmount"},
	{"order:status:update", "user:CUSTOMER role:admin user:AGENT order:ID", "orderId orderNumber status message"},
	{"order:assigned", "user:AGENT order:ID role:admin user:CUSTOMER", "orderId orderNumber agentId"},
	{"order:cancelled", "user:CUSTOMER role:admin user:AGENT order:ID", "orderId orderNumber reason"},
	{"delivery:status:update", "role:admin delivery:AGENT", "deliveryBoyId status currentOrder"},
	{"delivery:location:update", "user:CUSTOMER role:admin order:ID delivery:AGENT", "orderId location"},
	{"payment:received", "role:admin user:CUSTOMER order:ID", "orderId paymentId amount paymentMethod"},
	{"payment:failed", "role:admin user:CUSTOMER order:ID", "orderId paymentId amount paymentMethod"},
	{"payment:refunded", "role:admin user:CUSTOMER order:ID", "orderId paymentId amount paymentMethod"},
	{"notification:new", "user:ID", "id title message type"},
	{"offer:new", "role:customer role:admin", "code description discountValue"},
	{"offer:updated", "role:customer role:admin", "code description discountValue"},
	{"offer:withdrawn", "role:customer role:admin", "code description discountValue"},
}

func TestTheCatalogueIsWhatClientsWerePromised(t *testing.T) {
	t.Parallel()
	catalogue := projections.Catalogue()
	if len(catalogue) != len(promised) {
		t.Fatalf("the catalogue has %d events, %d were promised", len(catalogue), len(promised))
	}
	for i, want := range promised {
		spec := catalogue[i]
		if spec.Name != want.event || !slices.Equal(spec.Channels, strings.Fields(want.channels)) || spec.Summary == "" {
			t.Errorf("%s is %+v", want.event, spec)
		}
		data, err := json.Marshal(reflect.Zero(spec.Payload).Interface())
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatalf("%s: the data is no object: %v", spec.Name, err)
		}
		for _, field := range strings.Fields(want.data) {
			if _, there := fields[field]; !there {
				t.Errorf("%s: the data has no %s: %s", spec.Name, field, data)
			}
		}
	}
}

// A new type of event that is told to clients fails this until the catalogue has it, and so does an entry that
// nothing causes.
func TestEveryKindOfEventIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	ids := []byte(`{"customerId":"ann","userId":"ann","agentId":"dan","previousAgentId":"eve","orderId":"` + orderID.String() + `"}`)
	fill := strings.NewReplacer("CUSTOMER", "ann", "user:ID", "user:ann", "AGENT", "dan", "order:ID", "order:"+orderID.String())
	specs := make(map[string]projections.EventSpec)
	for _, spec := range projections.Catalogue() {
		specs[spec.Name] = spec
	}
	told := make(map[string]bool)
	for _, typ := range domain.EventTypes() {
		body, err := domain.Decode(typ.Name, ids)
		if err != nil {
			t.Fatal(err)
		}
		n, ok, err := projections.Notify(projections.Event{Body: body})
		if err != nil {
			t.Errorf("%s: %v", typ.Name, err)
		}
		if !ok {
			continue
		}
		spec, known := specs[n.Event]
		if !known {
			t.Errorf("%s is told as %s, which is not in the catalogue", typ.Name, n.Event)
			continue
		}
		told[n.Event] = true
		if want := strings.Fields(fill.Replace(strings.Join(spec.Channels, " "))); !slices.Equal(n.Channels, want) {
			t.Errorf("%s is told to %q, by the catalogue to %q", typ.Name, n.Channels, want)
		}
		payload := reflect.New(spec.Payload)
		decoder := json.NewDecoder(bytes.NewReader(n.Data))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(payload.Interface()); err != nil {
			t.Errorf("%s: the data of %s is not of the catalogue's type: %v", typ.Name, n.Event, err)
		}
		if again, err := json.Marshal(payload.Interface()); err != nil || !bytes.Equal(again, n.Data) {
			t.Errorf("%s: the data of %s is %s, by the catalogue %s, %v", typ.Name, n.Event, n.Data, again, err)
		}
	}
	for name := range specs {
		if !told[name] {
			t.Errorf("%s is in the catalogue and nothing causes it", name)
		}
	}
}

func TestEndingsAreReadWithTheirNotifications(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := orderID
	w.append(t, order.StreamType, id, placed("ann", 1))
	w.append(t, order.StreamType, id, order.Assigned{OrderID: id, CustomerID: "ann", AgentID: "eve", PreviousAgentID: "dan"})
	w.append(t, order.StreamType, id, order.StatusChanged{OrderID: id, CustomerID: "ann", AgentID: "eve", To: order.StatusConfirmed})
	w.append(t, courier.StreamType, courier.StreamID("eve"), courier.OrderReleased{AgentID: "eve", OrderID: id, CustomerID: "ann"})
	last := w.append(t, business.StreamType, business.StreamID, business.Opened{})
	w.project(t)
	w.waitFor(t, last)

	var marked int
	if err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM notification_log WHERE endings IS NOT NULL`).Scan(&marked); err != nil || marked != 2 {
		t.Errorf("%d notifications are kept with endings, %v", marked, err)
	}
	log, err := w.store.ReadLog(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	feed := projections.NewFeedLog(w.pool)
	for name, page := range map[string]func() (projections.Page, error){
		"the tail": func() (projections.Page, error) { return feed.Tail(t.Context(), 0, 10) },
		"pages of admins": func() (projections.Page, error) {
			return feed.ReadChannels(t.Context(), []string{"all", "role:admin"}, 0, 10)
		},
	} {
		p, err := page()
		if err != nil || len(p.Items) != 5 {
			t.Fatalf("%s: %d notifications, %v", name, len(p.Items), err)
		}
		for i, n := range p.Items {
			if want := notify(t, log[i]); !slices.Equal(n.Endings, want.Endings) || (len(n.Endings) > 0) != (i == 1 || i == 3) {
				t.Errorf("%s: seq %d ends %v, want %v", name, n.Seq, n.Endings, want.Endings)
			}
		}
	}
}

func notify(t *testing.T, r eventstore.Recorded) projections.Notification {
	t.Helper()
	body, err := domain.Decode(r.Type, r.Data)
	if err != nil {
		t.Fatal(err)
	}
	n, _, err := projections.Notify(projections.Event{Recorded: r, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
