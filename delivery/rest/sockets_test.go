package rest

import (
	"strings"
	"testing"
)

type connections struct{}

func (connections) ConnectedUsers() []string     { return []string{"ravi", "asha"} }
func (connections) Users() int64                 { return 12_000 }
func (connections) Connections() int64           { return 3 }
func (connections) EventsSent() map[string]int64 { return map[string]int64{"order:new": 7} }

func TestTheSocketsAreToldOfInTheSeedsShapes(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t, func(c *Config) { c.Sockets = connections{} })
	got := ask(t, h, "GET", prefix+"/socket/status", "admin")
	if strings.TrimSpace(got.text) != `{"connectedUsers":["asha","ravi"],"totalConnections":3}` {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	got = ask(t, h, "GET", prefix+"/metrics/socket", "admin")
	metrics, _ := got.body["eventMetrics"].(map[string]any)
	uptime, isNumber := got.body["uptime"].(float64)
	if got.body["connectedUsers"] != 12_000.0 || metrics["order:new"] != 7.0 || !isNumber || uptime < 0 || uptime > 60 {
		t.Errorf("got %d: %s", got.status, got.text)
	}
}

func TestWithoutSocketsNobodyIsConnected(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	if got := ask(t, h, "GET", prefix+"/socket/status", "admin"); strings.TrimSpace(got.text) != `{"connectedUsers":[],"totalConnections":0}` {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	if got := ask(t, h, "GET", prefix+"/metrics/socket", "admin"); !strings.Contains(got.text, `"connectedUsers":0,"eventMetrics":{}`) {
		t.Errorf("got %d: %s", got.status, got.text)
	}
}
