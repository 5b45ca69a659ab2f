package main

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/rest"
	"github.com/orderlog/orderlog/delivery/socketio"
	"github.com/orderlog/orderlog/delivery/sse"
	"github.com/orderlog/orderlog/delivery/ws"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

// measured are the parts whose figures are published. The parts count for themselves and know nothing of Prometheus;
// they are asked when somebody wants to know.
type measured struct {
	store  func() eventstore.Stats
	groups func() []eventstore.GroupStatus
	lags   func(context.Context) ([]projections.Lag, error)
	hub    func() delivery.Stats

	socket   func() ws.Stats
	socketIO func() socketio.Stats
	streams  func() sse.Stats

	signed func() int64 // the newest seq in a signed checkpoint
	notary func() error // why checkpoints are not signed
}

// metrics are the figures of one node. It is safe for concurrent use.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

// newMetrics gathers the parts' figures; requests come by observe.
func newMetrics(parts measured, log *slog.Logger) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "orderlog_http_request_duration_seconds",
			Help:    "How long requests took, by their method, the pattern of their path and the class of the answer's status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}, []string{"method", "route", "status"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "orderlog_build_info", Help: "Always 1; the label says which program this is.",
		ConstLabels: prometheus.Labels{"version": version()},
	})
	build.Set(1)
	m.registry.MustRegister(
		build, m.requests, partsCollector{parts, log.With("component", "metrics")},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// observe counts an answered request.
func (m *metrics) observe(o rest.Observation) {
	m.requests.WithLabelValues(o.Method, o.Route, strconv.Itoa(o.Status/100)+"xx").Observe(o.Duration.Seconds())
}

// handler answers scrapes. What cannot be told is left out of the answer. Few are answered at a time, so that asking
// often costs the database little.
func (m *metrics) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), MaxRequestsInFlight: 4,
	})
}

// lagTimeout bounds how long a scrape waits for the database. The other figures need none.
const lagTimeout = 2 * time.Second

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("orderlog_"+name, help, labels, nil)
}

var (
	descAppends        = desc("appends_total", "Appends by what became of them: stored, conflict (another version), replayed (a repeated idempotency key), mismatch (a key used for something else), failed (the database), overloaded (the queue was full).", "outcome")
	descEvents         = desc("events_appended_total", "Events stored by this node.")
	descBatchSize      = desc("append_batch_size", "Appends in each transaction.")
	descAppendDuration = desc("append_duration_seconds", "From the call of an append to its answer, the wait in the queue included.")
	descQueue          = desc("append_queue_length", "Appends that wait for a transaction.")

	descHead        = desc("log_head_seq", "The newest seq of the log.")
	descLagReadable = desc("projection_lag_readable", "1 when the projections' lag could be read for this answer, else 0; the lag is then missing.")
	descLagEvents   = desc("projection_lag_events", "Events that a projection has not handled yet, on whatever node it runs.", "group")
	descLagSeconds  = desc("projection_lag_seconds", "Age of the oldest event that a projection has not handled yet.", "group")
	descPosition    = desc("projection_position_seq", "The seq up to which a projection has handled the log.", "group")
	descFailures    = desc("projection_failed_attempts", "Attempts on this node that failed since the last that succeeded; 0 is healthy.", "group")

	descSignedSeq  = desc("audit_signed_seq", "The newest seq in a checkpoint that this node has signed; 0: none yet.")
	descAuditFault = desc("audit_fault", "1 when this node does not sign checkpoints although it should: see its log. 0 is healthy.")

	descSubscriptions = desc("hub_subscriptions", "Open subscriptions.")
	descHubPosition   = desc("hub_position_seq", "The seq up to which this node's hub has read the notification log; -1 before it has.")
	descPublished     = desc("hub_notifications_published_total", "Notifications that the hub has read.")
	descDelivered     = desc("hub_notifications_delivered_total", "Notifications handed out to subscriptions, by event.", "event")
	descReplayed      = desc("hub_notifications_replayed_total", "Of those delivered, the ones that were caught up on, by where they were read: ring (memory) or database.", "source")
	descReadings      = desc("hub_readings", "Readings of the database for subscriptions that are under way or wait for their turn.")
	descShared        = desc("hub_readings_shared_total", "Readings for subscriptions that needed nothing of the database beyond what was read for others.")
	descOverflows     = desc("hub_queue_overflows_total", "Queues that were thrown away because the client was slow; it catches up from the log.")
	descFaults        = desc("hub_faults_total", "Readings of the notification log that failed.")
	descRingFrames    = desc("hub_ring_notifications", "Notifications held in memory.")
	descRingBytes     = desc("hub_ring_bytes", "Memory that the notifications held take.")

	descConnections = desc("websocket_connections", "Open connections, by role; unregistered ones have not said who they are.", "role")
	descAccepted    = desc("websocket_connections_accepted_total", "Connections that were accepted.")
	descClosed      = desc("websocket_connections_closed_total", "Connections that have ended, by close code; 1006 had none, 0 is any other that a client chose.", "code")

	descEngineOpen     = desc("socketio_connections", "Open Socket.IO connections, by transport; one that is being upgraded is polling.", "transport")
	descEngineAccepted = desc("socketio_connections_accepted_total", "Socket.IO connections that were accepted.")
	descEngineUpgraded = desc("socketio_connections_upgraded_total", "Socket.IO connections that went from polling to WebSocket.")
	descEngineClosed   = desc("socketio_connections_closed_total", "Socket.IO connections that have ended, by reason.", "reason")
	descEngineRefused  = desc("socketio_requests_refused_total", "Requests of Socket.IO that were refused, by Engine.IO's error code; overloaded are those that were one connection too many.", "code")
	descEngineMessages = desc("socketio_messages_total", "Messages over Socket.IO, by direction.", "direction")
	descSockets        = desc("socketio_sockets", "Sockets in namespaces, by namespace and role; without a token the role is anonymous.", "namespace", "role")
	descSocketsBegun   = desc("socketio_sockets_begun_total", "Sockets that began, by how: recovered (kept their pid and missed nothing), resumed (by a lastSeq of their own), anew.", "how")
	descSocketsResync  = desc("socketio_resyncs_total", "Sockets that could not be told what they had missed, by reason.", "reason")
	descSocketsRefused = desc("socketio_sockets_refused_total", "Sockets that were not let into a namespace, by code.", "code")

	descStreams         = desc("sse_streams", "Open streams of server-sent events.")
	descStreamsAccepted = desc("sse_streams_accepted_total", "Streams of server-sent events that began.")
	descStreamsEnded    = desc("sse_streams_ended_total", "Streams of server-sent events that have ended, by reason.", "reason")
)

// partsCollector asks the parts at each scrape. Its descriptors are not told beforehand: what it answers depends on
// the groups, events and codes that there are.
type partsCollector struct {
	parts measured
	log   *slog.Logger
}

// Describe tells nothing; see the type.
func (partsCollector) Describe(chan<- *prometheus.Desc) {}

// Collect asks every part.
func (c partsCollector) Collect(out chan<- prometheus.Metric) {
	s := sink{out}
	s.store(c.parts.store())
	s.hub(c.parts.hub())
	s.socket(c.parts.socket())
	s.socketIO(c.parts.socketIO())
	s.streams(c.parts.streams())
	for _, g := range c.parts.groups() {
		s.gauge(descFailures, int64(g.Failures), g.Name)
	}
	s.gauge(descSignedSeq, c.parts.signed())
	fault := int64(0)
	if c.parts.notary() != nil {
		fault = 1
	}
	s.gauge(descAuditFault, fault)
	c.lag(s)
}

func (c partsCollector) lag(s sink) {
	ctx, cancel := context.WithTimeout(context.Background(), lagTimeout)
	defer cancel()
	lags, err := c.parts.lags(ctx)
	if err != nil {
		c.log.WarnContext(ctx, "the projections' lag could not be read for the metrics", "error", err)
		s.gauge(descLagReadable, 0)
		return
	}
	s.gauge(descLagReadable, 1)
	for i, l := range lags {
		if i == 0 {
			s.gauge(descHead, l.Head)
		}
		s.gauge(descPosition, l.Position, l.Group)
		s.gauge(descLagEvents, l.Head-l.Position, l.Group)
		s.send(descLagSeconds, prometheus.GaugeValue, l.Age.Seconds(), l.Group)
	}
}

// sink turns figures into metrics.
type sink struct{ out chan<- prometheus.Metric }

func (s sink) send(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
	m, err := prometheus.NewConstMetric(d, kind, value, labels...)
	if err != nil { // a label that is not UTF-8
		m = prometheus.NewInvalidMetric(d, err)
	}
	s.out <- m
}

func (s sink) count(d *prometheus.Desc, n int64, labels ...string) {
	s.send(d, prometheus.CounterValue, float64(n), labels...)
}

func (s sink) gauge(d *prometheus.Desc, n int64, labels ...string) {
	s.send(d, prometheus.GaugeValue, float64(n), labels...)
}

func (s sink) histogram(d *prometheus.Desc, h eventstore.Histogram) {
	buckets := make(map[float64]uint64, len(h.Bounds))
	for i, bound := range h.Bounds {
		buckets[bound] = h.Counts[i]
	}
	s.out <- prometheus.MustNewConstHistogram(d, h.Count, h.Sum, buckets)
}

func (s sink) store(st eventstore.Stats) {
	s.count(descAppends, st.Appends, "stored")
	s.count(descAppends, st.Conflicts, "conflict")
	s.count(descAppends, st.Replays, "replayed")
	s.count(descAppends, st.Mismatches, "mismatch")
	s.count(descAppends, st.Failures, "failed")
	s.count(descAppends, st.Overloads, "overloaded")
	s.count(descEvents, st.Events)
	s.gauge(descQueue, st.Queued)
	s.histogram(descBatchSize, st.BatchSizes)
	s.histogram(descAppendDuration, st.Durations)
}

func (s sink) hub(st delivery.Stats) {
	s.gauge(descSubscriptions, st.Subscriptions)
	s.gauge(descHubPosition, st.Position)
	s.count(descPublished, st.Published)
	for event, n := range st.Sent {
		s.count(descDelivered, n, event)
	}
	s.count(descReplayed, st.ReplayedRing, "ring")
	s.count(descReplayed, st.ReplayedFeed, "database")
	s.gauge(descReadings, st.Readings)
	s.count(descShared, st.SharedReadings)
	s.count(descOverflows, st.Overflows)
	s.count(descFaults, st.Faults)
	s.gauge(descRingFrames, st.RingFrames)
	s.gauge(descRingBytes, st.RingBytes)
}

func (s sink) socket(st ws.Stats) {
	s.gauge(descConnections, st.Unregistered, "unregistered")
	for role, n := range st.Roles {
		s.gauge(descConnections, n, string(role))
	}
	s.count(descAccepted, st.Accepted)
	for code, n := range st.Closed {
		s.count(descClosed, n, strconv.Itoa(code))
	}
}

func (s sink) socketIO(st socketio.Stats) {
	for transport, n := range st.Engine.Open {
		s.gauge(descEngineOpen, n, transport)
	}
	s.count(descEngineAccepted, st.Engine.Opened)
	s.count(descEngineUpgraded, st.Engine.Upgraded)
	for reason, n := range st.Engine.Closed {
		s.count(descEngineClosed, n, string(reason))
	}
	for code, n := range st.Engine.Refused {
		s.count(descEngineRefused, n, strconv.Itoa(code))
	}
	s.count(descEngineRefused, st.Engine.Overloaded, "overloaded")
	s.count(descEngineMessages, st.Engine.Received, "received")
	s.count(descEngineMessages, st.Engine.Sent, "sent")
	for kind, n := range st.Sockets {
		s.gauge(descSockets, n, kind.Namespace, cmp.Or(string(kind.Role), "anonymous"))
	}
	s.count(descSocketsBegun, st.Recovered, "recovered")
	s.count(descSocketsBegun, st.Resumed, "resumed")
	s.count(descSocketsBegun, st.Anew, "anew")
	for reason, n := range st.Resyncs {
		s.count(descSocketsResync, n, string(reason))
	}
	for code, n := range st.Refused {
		s.count(descSocketsRefused, n, string(code))
	}
}

func (s sink) streams(st sse.Stats) {
	s.gauge(descStreams, st.Open)
	s.count(descStreamsAccepted, st.Accepted)
	for reason, n := range st.Ended {
		s.count(descStreamsEnded, n, reason)
	}
}
