package rest

import (
	"strings"
	"testing"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/projections"
)

func TestWhatDeliveryCommandsAreAsked(t *testing.T) {
	t.Parallel()
	speed, heading, accuracy := 4.5, 0.0, 12.0
	commandsAre(t, []asked{
		{"POST", "/orders/" + orderID.String() + "/assign", "admin", `{"agentId":"ravi"}`, commands.AssignOrder{OrderID: orderID, AgentID: "ravi"}},
		{"PATCH", "/delivery/status", "ravi", `{"status":"busy"}`, commands.SetCourierStatus{Status: "busy"}},
		{"POST", "/delivery/location", "ravi", here, commands.ReportLocation{
			OrderID: orderID, Point: courier.Point{Latitude: 12.97, Longitude: 77.59},
		}},
		{"POST", "/delivery/location", "ravi", strings.Replace(here, "{", `{"speed":4.5,"heading":0,"accuracy":12,`, 1), commands.ReportLocation{
			OrderID: orderID, Point: courier.Point{Latitude: 12.97, Longitude: 77.59, Speed: &speed, Heading: &heading, Accuracy: &accuracy},
		}},
		{"POST", "/delivery/location", "ravi", strings.Replace(here, "{", `{"speed":null,`, 1), commands.ReportLocation{
			OrderID: orderID, Point: courier.Point{Latitude: 12.97, Longitude: 77.59},
		}},
		{"POST", "/delivery/location", "ravi", at("-90", "180"), commands.ReportLocation{OrderID: orderID, Point: courier.Point{Latitude: -90, Longitude: 180}}},
		{"POST", "/delivery/location", "ravi", at("0", "-1.5e1"), commands.ReportLocation{OrderID: orderID, Point: courier.Point{Longitude: -15}}},
	})
}

// at is a place as a client writes it.
func at(latitude, longitude string) string {
	return strings.NewReplacer("12.97", latitude, "77.59", longitude).Replace(here)
}

func TestDeliveryRequestsThatAreNotValid(t *testing.T) {
	t.Parallel()
	const location = "/delivery/location"
	with := func(field string) string { return strings.Replace(here, "{", "{"+field+",", 1) }
	refusals(t, []invalid{
		{"POST", location, "ravi", at("90.000001", "0"), "body.latitude"},
		{"POST", location, "ravi", at("-91", "0"), "body.latitude"},
		{"POST", location, "ravi", at("0", "180.5"), "body.longitude"},
		{"POST", location, "ravi", at("0", "-1e300"), "body.longitude"},
		{"POST", location, "ravi", at("1e999", "0"), "body"},
		{"POST", location, "ravi", at("NaN", "0"), "body"},
		{"POST", location, "ravi", at("Infinity", "0"), "body"},
		{"POST", location, "ravi", at(`"NaN"`, "0"), "body.latitude"},
		{"POST", location, "ravi", at(`"12.97"`, "0"), "body.latitude"},
		{"POST", location, "ravi", at("null", "0"), "body.latitude"},
		{"POST", location, "ravi", at("[12.97]", "0"), "body.latitude"},
		{"POST", location, "ravi", strings.Replace(here, `"latitude":12.97,`, "", 1), "body"},
		{"POST", location, "ravi", with(`"speed":-1`), "body.speed"},
		{"POST", location, "ravi", with(`"speed":501`), "body.speed"},
		{"POST", location, "ravi", with(`"heading":361`), "body.heading"},
		{"POST", location, "ravi", with(`"heading":"north"`), "body.heading"},
		{"POST", location, "ravi", with(`"accuracy":100001`), "body.accuracy"},
		{"POST", location, "ravi", strings.Replace(here, orderID.String(), "ORD-000001", 1), "body.orderId"},
		{"POST", location, "ravi", strings.Replace(here, `"`+orderID.String()+`"`, "7", 1), "body.orderId"},
		{"POST", location, "ravi", "", ""},
		{"PATCH", "/delivery/status", "ravi", `{"status":"asleep"}`, "body.status"},
		{"PATCH", "/delivery/status", "ravi", `{"status":true}`, "body.status"},
		{"PATCH", "/delivery/status", "ravi", `{}`, "body"},
		{"POST", "/orders/" + orderID.String() + "/assign", "admin", `{"agentId":""}`, "body.agentId"},
		{"POST", "/orders/" + orderID.String() + "/assign", "admin", `{"agentId":7}`, "body.agentId"},
		{"POST", "/orders/" + orderID.String() + "/assign", "admin", `{"agentId":"` + strings.Repeat("a", 129) + `"}`, "body.agentId"},
		{"GET", "/delivery/agents?status=asleep", "admin", "", "query.status"},
		{"GET", "/delivery/agents?limit=201", "admin", "", "query.limit"},
		{"GET", "/delivery/agents/a%00b", "admin", "", "path.id"},
		{"GET", "/delivery/agents/%ff", "admin", "", "path.id"},
		{"GET", "/delivery/agents/" + strings.Repeat("a", 129), "admin", "", "path.id"},
		{"GET", "/delivery/orders/7/track", "admin", "", "path.id"},
	})
}

func TestTheCouriers(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.more = "n"
	h := w.handler(t)
	got := ask(t, h, "GET", prefix+"/delivery/agents?status=busy&limit=7&cursor=c", "admin")
	if items, _ := got.body["items"].([]any); len(items) != 1 || got.body["next"] != "n" || got.header.Get("X-Seq") != "42" {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	if q := w.queries[0]; q != (projections.CourierQuery{Status: "busy", Limit: 7, After: "c"}) {
		t.Errorf("asked for %+v", q)
	}
	got = ask(t, h, "GET", prefix+"/delivery/agents/ravi", "ravi")
	if got.body["id"] != "ravi" || got.body["status"] != "busy" || got.body["chosen"] != "online" || got.body["currentOrder"] != orderID.String() {
		t.Errorf("got %s", got.text)
	}
	refused(t, ask(t, h, "GET", prefix+"/delivery/agents/nobody", "admin"), 404, "not_found")
	refused(t, ask(t, h, "GET", prefix+"/delivery/agents/courier2", "courier2"), 404, "not_found")
	// What a courier may not read it does not learn from either: whether there is such a courier.
	refused(t, ask(t, h, "GET", prefix+"/delivery/agents/nobody", "ravi"), 403, "forbidden")
}

func TestAUserIDInAPathIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	got := ask(t, newWorld().handler(t), "GET", prefix+"/delivery/agents/auth0%7Ca%2Fb", "admin")
	refused(t, got, 404, "not_found")
	if !strings.Contains(got.text, "there is no courier auth0|a/b") {
		t.Errorf("got %s", got.text)
	}
}

func TestATrack(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t)
	path := prefix + "/delivery/orders/" + orderID.String() + "/track"
	got := ask(t, h, "GET", path+"?limit=9&cursor=c", "asha")
	if items, _ := got.body["items"].([]any); got.status != 200 || len(items) != 1 || got.header.Get("X-Seq") != "42" {
		t.Fatalf("got %d: %s", got.status, got.text)
	}
	if q := w.queries[len(w.queries)-1]; q != (projections.TrackQuery{OrderID: orderID, Limit: 9, After: "c"}) {
		t.Errorf("asked for %+v", q)
	}
	w.queries = nil
	refused(t, ask(t, h, "GET", path, "ben"), 403, "forbidden")
	refused(t, ask(t, h, "GET", strings.Replace(path, orderID.String(), unknownID.String(), 1), "asha"), 404, "not_found")
	for _, q := range w.queries {
		if q != orderID {
			t.Errorf("read %v all the same", q)
		}
	}
}

func TestWhetherAPointIsKeptIsTold(t *testing.T) {
	t.Parallel()
	got := ask(t, newWorld().handler(t), "POST", prefix+"/delivery/location", "ravi", here)
	if got.status != 200 || got.header.Get("X-Seq") != "50" ||
		strings.TrimSpace(got.text) != `{"orderId":"`+orderID.String()+`","kept":true,"at":"2026-03-01T12:00:00.123456Z"}` {
		t.Errorf("got %d: %s", got.status, got.text)
	}
}

func TestWhyACourierGetsNoOrderIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = domain.Errorf(domain.CodeAgentUnavailable, "ravi is busy").With("agentId", "ravi").With("agentStatus", "busy").With("currentOrder", orderID)
	got := ask(t, w.handler(t), "POST", prefix+"/orders/"+orderID.String()+"/assign", "admin", `{"agentId":"ravi"}`)
	refused(t, got, 409, "agent_unavailable")
	if got.body["agentId"] != "ravi" || got.body["agentStatus"] != "busy" || got.body["currentOrder"] != orderID.String() {
		t.Errorf("got %s", got.text)
	}
}
