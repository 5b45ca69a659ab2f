package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/rest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio"
	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/sse"
	"github.com/orderlog/orderlog/delivery/ws"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

var quiet = slog.New(slog.DiscardHandler)

// figures are parts that count something everywhere.
func figures() measured {
	return measured{
		store: func() eventstore.Stats {
			return eventstore.Stats{
				Appends: 11, Events: 12, Conflicts: 13, Replays: 14, Mismatches: 15, Failures: 16, Overloads: 17, Batches: 3, Queued: 18,
				BatchSizes: eventstore.Histogram{Bounds: []float64{1, 2}, Counts: []uint64{1, 2}, Count: 3, Sum: 9},
				Durations:  eventstore.Histogram{Bounds: []float64{.5}, Counts: []uint64{4}, Count: 5, Sum: 2.5},
			}
		},
		groups: func() []eventstore.GroupStatus {
			return []eventstore.GroupStatus{{Name: "feed"}, {Name: "views", Failures: 2, FailedSeq: 7}}
		},
		lags: func(context.Context) ([]projections.Lag, error) {
			return []projections.Lag{{Group: "feed", Position: 40, Head: 42, Age: 1500 * time.Millisecond}, {Group: "views", Position: 42, Head: 42}}, nil
		},
		signed: func() int64 { return 41 }, notary: func() error { return errors.New("disk full") },
		hub: func() delivery.Stats {
			return delivery.Stats{
				Subscriptions: 21, Published: 22, Delivered: 23, Sent: map[string]int64{"order:new": 20, "order:assigned": 3},
				ReplayedRing: 24, ReplayedFeed: 25, Overflows: 26, Faults: 27, Position: 28, RingFrames: 29, RingBytes: 30, SharedReadings: 31, Readings: 32,
			}
		},
		socket: func() ws.Stats {
			return ws.Stats{
				Accepted: 51, Open: 6, Unregistered: 1, Roles: map[domain.Role]int64{"customer": 3, "admin": 2},
				Closed: map[int]int64{1001: 4, 4409: 5},
			}
		},
		socketIO: func() socketio.Stats {
			return socketio.Stats{
				Engine: engine.Stats{
					Open: map[string]int64{"polling": 61, "websocket": 62}, Opened: 63, Upgraded: 64, Overloaded: 65, Received: 66, Sent: 67,
					Refused: map[int]int64{1: 68}, Closed: map[engine.Reason]int64{engine.ReasonLost: 69},
				},
				Sockets:   map[socketio.SocketKind]int64{{Namespace: "/admin", Role: "admin"}: 71, {Namespace: "/"}: 72},
				Recovered: 73, Resumed: 74, Anew: 75,
				Resyncs: map[session.ResyncReason]int64{session.ReasonExpired: 76}, Refused: map[domain.Code]int64{"forbidden": 77},
			}
		},
		streams: func() sse.Stats {
			return sse.Stats{Accepted: 81, Open: 82, Ended: map[string]int64{"going_away": 83}}
		},
	}
}

func TestEveryFigureIsPublished(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(partsCollector{figures(), quiet})
	want := `
orderlog_appends_total{outcome="conflict"} 13
orderlog_appends_total{outcome="failed"} 16
orderlog_appends_total{outcome="mismatch"} 15
orderlog_appends_total{outcome="overloaded"} 17
orderlog_appends_total{outcome="replayed"} 14
orderlog_appends_total{outcome="stored"} 11
orderlog_events_appended_total 12
orderlog_append_queue_length 18
orderlog_append_batch_size_bucket{le="1"} 1
orderlog_append_batch_size_bucket{le="2"} 2
orderlog_append_batch_size_bucket{le="+Inf"} 3
orderlog_append_batch_size_sum 9
orderlog_append_batch_size_count 3
orderlog_append_duration_seconds_bucket{le="0.5"} 4
orderlog_append_duration_seconds_bucket{le="+Inf"} 5
orderlog_append_duration_seconds_sum 2.5
orderlog_append_duration_seconds_count 5
orderlog_audit_signed_seq 41
orderlog_audit_fault 1
orderlog_log_head_seq 42
orderlog_projection_lag_readable 1
orderlog_projection_lag_events{group="feed"} 2
orderlog_projection_lag_events{group="views"} 0
orderlog_projection_lag_seconds{group="feed"} 1.5
orderlog_projection_lag_seconds{group="views"} 0
orderlog_projection_position_seq{group="feed"} 40
orderlog_projection_position_seq{group="views"} 42
orderlog_projection_failed_attempts{group="feed"} 0
orderlog_projection_failed_attempts{group="views"} 2
orderlog_hub_subscriptions 21
orderlog_hub_position_seq 28
orderlog_hub_notifications_published_total 22
orderlog_hub_notifications_delivered_total{event="order:assigned"} 3
orderlog_hub_notifications_delivered_total{event="order:new"} 20
orderlog_hub_notifications_replayed_total{source="database"} 25
orderlog_hub_notifications_replayed_total{source="ring"} 24
orderlog_hub_readings 32
orderlog_hub_readings_shared_total 31
orderlog_hub_queue_overflows_total 26
orderlog_hub_faults_total 27
orderlog_hub_ring_notifications 29
orderlog_hub_ring_bytes 30
orderlog_socketio_connections{transport="polling"} 61
orderlog_socketio_connections{transport="websocket"} 62
orderlog_socketio_connections_accepted_total 63
orderlog_socketio_connections_upgraded_total 64
orderlog_socketio_connections_closed_total{reason="lost"} 69
orderlog_socketio_requests_refused_total{code="1"} 68
orderlog_socketio_requests_refused_total{code="overloaded"} 65
orderlog_socketio_messages_total{direction="received"} 66
orderlog_socketio_messages_total{direction="sent"} 67
orderlog_socketio_sockets{namespace="/",role="anonymous"} 72
orderlog_socketio_sockets{namespace="/admin",role="admin"} 71
orderlog_socketio_sockets_begun_total{how="recovered"} 73
orderlog_socketio_sockets_begun_total{how="resumed"} 74
orderlog_socketio_sockets_begun_total{how="anew"} 75
orderlog_socketio_resyncs_total{reason="expired"} 76
orderlog_socketio_sockets_refused_total{code="forbidden"} 77
orderlog_sse_streams 82
orderlog_sse_streams_accepted_total 81
orderlog_sse_streams_ended_total{reason="going_away"} 83
orderlog_websocket_connections{role="admin"} 2
orderlog_websocket_connections{role="customer"} 3
orderlog_websocket_connections{role="unregistered"} 1
orderlog_websocket_connections_accepted_total 51
orderlog_websocket_connections_closed_total{code="1001"} 4
orderlog_websocket_connections_closed_total{code="4409"} 5
`
	got := scrape(t, &metrics{registry: registry})
	for line := range strings.Lines(want) {
		if line := strings.TrimSpace(line); line != "" && !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	if samples := len(regexp.MustCompile(`(?m)^orderlog_`).FindAllString(got, -1)); samples != strings.Count(want, "orderlog_") {
		t.Errorf("%d samples, %d were expected:\n%s", samples, strings.Count(want, "orderlog_"), got)
	}
}

func scrape(t *testing.T, m *metrics) string {
	t.Helper()
	out := httptest.NewRecorder()
	m.handler(quiet).ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	body, err := io.ReadAll(out.Body)
	if err != nil || out.Code != http.StatusOK {
		t.Fatalf("got %d, %v", out.Code, err)
	}
	return "\n" + string(body)
}

func TestNamesAreThoseOfPrometheus(t *testing.T) {
	t.Parallel()
	m := newMetrics(figures(), quiet)
	m.observe(rest.Observation{Method: "GET", Route: "/api/v1/orders/{id}", Status: 200, Duration: 20 * time.Millisecond})
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestRequestsAreCountedByRouteAndClass(t *testing.T) {
	t.Parallel()
	m := newMetrics(figures(), quiet)
	for _, o := range []rest.Observation{
		{Method: "GET", Route: "/api/v1/orders/{id}", Status: 200, Duration: 20 * time.Millisecond},
		{Method: "GET", Route: "/api/v1/orders/{id}", Status: 200, Duration: 2 * time.Millisecond},
		{Method: "GET", Route: "/api/v1/orders/{id}", Status: 404, Duration: time.Millisecond},
		{Method: "POST", Route: "none", Status: 499, Duration: time.Millisecond},
	} {
		m.observe(o)
	}
	got := scrape(t, m)
	for _, want := range []string{
		`orderlog_http_request_duration_seconds_bucket{method="GET",route="/api/v1/orders/{id}",status="2xx",le="0.0025"} 1`,
		`orderlog_http_request_duration_seconds_count{method="GET",route="/api/v1/orders/{id}",status="2xx"} 2`,
		`orderlog_http_request_duration_seconds_count{method="GET",route="/api/v1/orders/{id}",status="4xx"} 1`,
		`orderlog_http_request_duration_seconds_count{method="POST",route="none",status="4xx"} 1`,
		`orderlog_build_info{version="` + version() + `"} 1`,
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("there is no %s in %s", want, got)
		}
	}
	for _, of := range []string{"\ngo_goroutines ", "\nprocess_open_fds "} {
		if !strings.Contains(got, of) {
			t.Errorf("the process tells nothing of itself: %q", of)
		}
	}
}

// A database that does not answer is what the metrics are for.
func TestTheLagThatCannotBeRead(t *testing.T) {
	t.Parallel()
	parts := figures()
	parts.lags = func(ctx context.Context) ([]projections.Lag, error) {
		if until, ok := ctx.Deadline(); !ok || time.Until(until) > lagTimeout {
			t.Error("the scrape waits for the database without end")
		}
		return nil, errors.New("it is gone")
	}
	got := scrape(t, newMetrics(parts, quiet))
	for _, want := range []string{"orderlog_projection_lag_readable 0", `orderlog_appends_total{outcome="stored"} 11`, "orderlog_hub_subscriptions 21"} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("there is no %s", want)
		}
	}
	if strings.Contains(got, "orderlog_projection_lag_seconds") {
		t.Error("the lag is told all the same")
	}
}
