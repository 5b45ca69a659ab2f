package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/commands/reactions"
	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/rest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio"
	"github.com/orderlog/orderlog/delivery/sse"
	"github.com/orderlog/orderlog/delivery/ws"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/internal/paysandbox"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay"
	"github.com/orderlog/orderlog/replay/proofs"
)

// maxLag is how far a projection may be behind for the node to call itself ready.
const maxLag = 10 * time.Second

// reactTime is how long a reaction may be at what it does outside of its transaction: it appends for each event of a segment,
// or asks the payment provider, who may take seconds for each.
const reactTime = time.Minute

// node is one process's parts and how they hang together; the way of an event is read from top to bottom.
type node struct {
	pool      *pgxpool.Pool
	store     *eventstore.Store
	listener  *eventstore.Listener
	feed      *projections.Feed
	runner    *projections.Runner
	retention *projections.Retention
	views     *projections.Views
	hub       *delivery.Hub
	sessions  *session.Service
	socket    *ws.Handler
	rooms     *socketio.RoomLog
	socketIO  *socketio.Handler
	streams   *sse.Handler
	verifier  *auth.Verifier
	notary    *proofs.Notary
	handler   http.Handler

	draining chan struct{} // closed when the node is about to stop
	drain    func()        // closes it
}

// newNode wires the parts; nothing runs yet.
func newNode(ctx context.Context, cfg config.Config, pool *pgxpool.Pool, log *slog.Logger) (*node, error) {
	n := &node{pool: pool, draining: make(chan struct{})}
	n.drain = sync.OnceFunc(func() { close(n.draining) })
	var err error
	n.verifier, err = auth.New(ctx, auth.Config{
		Secret: cfg.JWTSecret, JWKSURL: cfg.JWKSURL, Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience, Logger: log,
	})
	if err != nil {
		return nil, err
	}

	n.store = eventstore.Open(pool, eventstore.Options{Logger: log.With("component", "eventstore")})
	service := commands.New(n.store, commands.NewSequenceNumbers(pool), paysandbox.New(), commands.Options{})

	audit, treeGrown := replay.New(pool, n.store), make(chan struct{}, 1)
	n.notary, err = proofs.Open(proofs.Config{
		Pool: pool, Store: n.store, Orders: audit, Key: string(cfg.AuditKey), Trusted: cfg.AuditPublicKeys,
		Dir: cfg.CheckpointDir, Grown: treeGrown, Logger: log.With("component", "notary"),
	})
	if err != nil {
		return nil, err
	}

	n.listener = eventstore.NewListener(pool, log, eventstore.EventsChannel, projections.FeedChannel)
	n.feed = projections.NewFeed(pool)
	n.runner = projections.NewRunner(pool, n.listener, log,
		projections.Group{Name: projections.GroupFeed, Models: []projections.Model{n.feed}, Committed: func(position int64) {
			n.feed.Committed(position) // before the hub is woken, which asks for it
			n.listener.Hint(projections.FeedChannel, position)
		}},
		projections.ViewsGroup(pool),
		projections.Group{Name: projections.GroupInbox, Gather: projections.GatherUnawaited, Elsewhere: reactTime, Models: []projections.Model{reactions.Inbox{Log: n.store}}},
		projections.Group{Name: projections.GroupRefunds, Gather: projections.GatherUnawaited, Elsewhere: reactTime, Models: []projections.Model{reactions.Refunds{Commands: service}}},
		projections.Group{
			Name: projections.GroupProofs, Undecoded: true, Gather: projections.GatherUnawaited, Models: []projections.Model{proofs.Tree{}, replay.Index{}},
			Committed: func(int64) { wake(treeGrown) },
		},
	)
	n.retention = projections.NewRetention(pool, cfg.NotificationRetention, log)

	n.views = projections.NewViews(pool)
	feedLog := projections.NewFeedLog(pool)
	grown, _ := n.listener.Signal(projections.FeedChannel)
	n.hub = delivery.New(delivery.Config{Feed: n.feed.Newest(feedLog), Hint: grown, Logger: log})
	n.sessions = session.New(session.Config{
		Hub: n.hub, Verifier: n.verifier, Access: access{service}, Locator: access{service}, Logger: log, MaxUserConnections: limit(cfg.MaxUserConnections),
	})
	n.socket = ws.New(ws.Config{
		Sessions: n.sessions, TrustedProxies: cfg.TrustedProxies, Origins: cfg.ClientOrigins, Logger: log,
	})
	n.rooms = socketio.NewRooms(pool, cfg.NotificationRetention, log)
	n.socketIO = socketio.New(socketio.Config{
		Sessions: n.sessions, Rooms: n.rooms, TrustedProxies: cfg.TrustedProxies, Origins: cfg.ClientOrigins, Logger: log,
	})
	tickets := sse.NewTickets(pool)
	n.streams = sse.New(sse.Config{Sessions: n.sessions, Tickets: tickets, Logger: log})
	sockets, err := describeSockets(cfg)
	if err != nil {
		return nil, err
	}
	figures := newMetrics(measured{
		store: n.store.Stats, groups: n.runner.Status, hub: n.hub.Stats,
		socket: n.socket.Stats, socketIO: n.socketIO.Stats, streams: n.streams.Stats,
		lags:   func(ctx context.Context) ([]projections.Lag, error) { return projections.Lags(ctx, pool) },
		signed: func() int64 { size, _ := n.notary.Signed(); return size }, notary: n.notary.Fault,
	}, log)
	api, err := rest.New(rest.Config{ //nolint:contextcheck // each request has its own
		Verifier: n.verifier, Commands: service, Views: n.views, Feed: feedLog, Ready: n,
		Audit: audit, Proofs: n.notary, Draining: n.draining, Events: n.streams, Tickets: tickets, Sockets: connections{n},
		WebhookSecret: cfg.PaymentWebhookSecret,
		BusinessName:  cfg.BusinessName, Origins: cfg.ClientOrigins, Logger: log, Version: version(),
		Frame: rest.Frame{
			UserLimit: limit(cfg.RateLimitUser), AddressLimit: limit(cfg.RateLimitAddress), MaxRequests: limit(cfg.MaxRequests), TrustedProxies: cfg.TrustedProxies,
			Metrics: figures.handler(log), Observe: figures.observe, AsyncAPI: sockets,
		},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", n.socket)
	mux.Handle("/socket.io", n.socketIO)
	mux.Handle("/socket.io/", n.socketIO)
	mux.Handle("/", api)
	n.handler = warnOfProxies(mux, cfg.TrustedProxies, log)
	return n, nil
}

// Run runs the parts until ctx ends or one of them fails.
func (n *node) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for name, part := range map[string]func(context.Context) error{
		"keys":        n.verifier.Run,
		"event store": n.store.Run,
		"listener":    n.listener.Run,
		"projections": n.project,
		"retention":   n.retention.Run,
		"hub":         n.hub.Run,
		"notary":      n.notary.Run,
		"rooms":       n.rooms.Run,
	} {
		g.Go(func() error {
			if err := part(ctx); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// project runs the groups, and announces what the feed has written until the last of them has ended.
func (n *node) project(ctx context.Context) error {
	announcing, enough := context.WithCancel(context.WithoutCancel(ctx))
	defer enough()
	var g errgroup.Group
	g.Go(func() error { return n.feed.Run(announcing) })
	err := n.runner.Run(ctx)
	enough()
	return errors.Join(err, g.Wait())
}

// Shutdown asks all clients to come back to another node, or to this one later, and waits until they have gone. When ctx
// ends first they are cut, and the error says over what they had come.
func (n *node) Shutdown(ctx context.Context) error {
	var all sync.WaitGroup
	var errs [3]error
	for i, over := range [len(errs)]struct {
		what string
		end  func(context.Context) error
	}{{"WebSockets", n.socket.Shutdown}, {"Socket.IO connections", n.socketIO.Shutdown}, {"streams of events", n.streams.Shutdown}} {
		all.Go(func() {
			if err := over.end(ctx); err != nil {
				errs[i] = fmt.Errorf("%s were cut that did not end: %w", over.what, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs[:]...)
}

// settled waits until the hub follows the log and the read models show what is in it, and answers false when
// ctx ended before. Models that have far to go are not waited for: they answer with the seq they are at.
func (n *node) settled(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-n.hub.Ready():
	}
	patience, cancel := context.WithTimeout(ctx, maxLag)
	defer cancel()
	if head, err := n.store.Head(patience); err == nil {
		_ = n.views.WaitFor(patience, head.Seq)
	}
	return ctx.Err() == nil
}

// Ready tells whether this node should be given requests: the database answers, the projections are within
// bounds, and it is not about to stop.
func (n *node) Ready(ctx context.Context) (rest.Readiness, error) {
	lags, err := projections.Lags(ctx, n.pool)
	if err != nil {
		return rest.Readiness{Components: []rest.Component{{Name: "database", Detail: "it does not answer"}}}, nil
	}
	r := rest.Readiness{Components: []rest.Component{
		{Name: "server", Ready: !n.isDraining()},
		{Name: "database", Ready: true},
		{Name: "hub", Ready: n.hub.Err() == nil && n.hub.Position() >= 0},
	}}
	failing := make(map[string]eventstore.GroupStatus)
	for _, s := range n.runner.Status() {
		if s.Failures > 0 {
			failing[s.Name] = s
		}
	}
	for _, l := range lags {
		c := rest.Component{
			Name: "projection " + l.Group, Ready: l.Age <= maxLag,
			Detail: fmt.Sprintf("at seq %d of %d", l.Position, l.Head),
		}
		if s, fails := failing[l.Group]; fails {
			c.Ready = false
			c.Detail += fmt.Sprintf("; it fails at seq %d, see the log", s.FailedSeq)
		} else if l.Failures > 0 {
			// This node may be able to do what that one is not, and is then the one to ask; if not, the lag tells soon.
			c.Detail += fmt.Sprintf("; it fails on another node at seq %d", l.FailedSeq)
		}
		if l.Group == projections.GroupRefunds || l.Group == projections.GroupProofs {
			// The one may have to wait for the payment provider, the other has the whole log before it when it is new:
			// no reasons to give this node no requests.
			c.Ready = true
		}
		r.Components = append(r.Components, c)
	}
	r.Ready = true
	for _, c := range r.Components {
		r.Ready = r.Ready && c.Ready
	}
	return r, nil
}

func (n *node) isDraining() bool {
	select {
	case <-n.draining:
		return true
	default:
		return false
	}
}

// wake puts a signal where there is none yet.
func wake(signal chan<- struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// limit is a setting, where 0 is no limit, as the handler takes it, where 0 is the default.
func limit(requests int) int {
	if requests == 0 {
		return -1
	}
	return requests
}

// access is what connections may do, by the log.
type access struct{ service *commands.Service }

func (a access) CanSeeOrder(ctx context.Context, user auth.Identity, orderID uuid.UUID) (bool, error) {
	return a.service.MayFollow(ctx, actor(user), orderID)
}

func (a access) CanSeeCourier(ctx context.Context, user auth.Identity, agentID string) (since int64, ok bool, err error) {
	return a.service.MayFollowCourier(ctx, actor(user), agentID)
}

func (a access) ReportLocation(
	ctx context.Context, user auth.Identity, remoteAddr string, orderID uuid.UUID, p courier.Point,
) (session.Located, error) {
	out, err := a.service.ReportLocation(ctx, commands.Request{Actor: actor(user), RemoteAddr: remoteAddr},
		commands.ReportLocation{OrderID: orderID, Point: p})
	located := session.Located{Kept: out.Value.Kept, At: out.Value.At}
	if located.Kept {
		located.Seq = out.Seq
	}
	return located, err
}

func actor(user auth.Identity) domain.Actor {
	return domain.Actor{UserID: user.UserID, Role: user.Role, Name: user.Name}
}

// connections are those of a node, over whatever they came.
type connections struct{ *node }

func (c connections) ConnectedUsers() []string { return c.sessions.Online() }
func (c connections) Users() int64             { return c.sessions.Users() }

// Connections counts those over which nobody has said who they are too.
func (c connections) Connections() int64 {
	open := c.socket.Stats().Open + c.streams.Stats().Open
	for _, n := range c.socketIO.Stats().Engine.Open {
		open += n
	}
	return open
}

// EventsSent has every event there is, also those that were never sent.
func (c connections) EventsSent() map[string]int64 {
	sent := c.hub.Stats().Sent
	for _, e := range projections.Catalogue() {
		sent[e.Name] += 0
	}
	return sent
}
