package rest

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

type socketStatusBody struct {
	ConnectedUsers   []string `json:"connectedUsers" nullable:"false" doc:"The ids of the users who are connected; of very many, the first 10,000."`
	TotalConnections int64    `json:"totalConnections" doc:"A user may have several."`
}

type socketMetricsBody struct {
	ConnectedUsers int64            `json:"connectedUsers" doc:"How many users are connected."`
	EventMetrics   map[string]int64 `json:"eventMetrics" doc:"How often each event was handed to a connection since the start."`
	Uptime         float64          `json:"uptime" doc:"Seconds since the start."`
}

func (s *server) sockets(api huma.API) {
	tags, started := []string{"Operation"}, time.Now()
	register(s, api, huma.Operation{
		OperationID: "get-socket-status", Method: http.MethodGet, Path: prefix + "/socket/status", Tags: tags,
		Summary: "Who is connected to this process",
	}, admins, func(context.Context, *call, *struct{}) (*struct{ Body socketStatusBody }, error) {
		users := slices.Sorted(slices.Values(s.cfg.Sockets.ConnectedUsers()))
		if users == nil {
			users = []string{}
		}
		return &struct{ Body socketStatusBody }{socketStatusBody{ConnectedUsers: users, TotalConnections: s.cfg.Sockets.Connections()}}, nil
	})
	register(s, api, huma.Operation{
		OperationID: "get-socket-metrics", Method: http.MethodGet, Path: prefix + "/metrics/socket", Tags: tags,
		Summary:     "What this process did for its connections",
		Description: "More, and in the form that Prometheus reads, is at /metrics.",
	}, admins, func(context.Context, *call, *struct{}) (*struct{ Body socketMetricsBody }, error) {
		sent := s.cfg.Sockets.EventsSent()
		if sent == nil {
			sent = map[string]int64{}
		}
		return &struct{ Body socketMetricsBody }{socketMetricsBody{
			ConnectedUsers: s.cfg.Sockets.Users(), EventMetrics: sent,
			Uptime: time.Since(started).Round(time.Millisecond).Seconds(),
		}}, nil
	})
}

// noSockets is what is connected when nothing can be.
type noSockets struct{}

func (noSockets) ConnectedUsers() []string     { return nil }
func (noSockets) Users() int64                 { return 0 }
func (noSockets) Connections() int64           { return 0 }
func (noSockets) EventsSent() map[string]int64 { return nil }
