package engine

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"
)

// Server serves sessions, at whatever path. It is safe for concurrent use.
type Server struct {
	cfg      Config
	upgrader websocket.Upgrader

	received, sent atomic.Int64

	mu       sync.Mutex // taken last: no other lock is taken under it
	sessions map[string]*Session
	conns    map[*conn]struct{} // WebSockets, those of upgrades too
	places   int                // taken by sessions and by handshakes that are under way
	stats    Stats
	closing  bool
	cut      bool           // and nobody is waited for any more
	running  sync.WaitGroup // one a place, and one a WebSocket
}

// New returns a server. Shutdown ends what it has started.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), sessions: map[string]*Session{}, conns: map[*conn]struct{}{}}
	s.stats = Stats{Open: map[string]int64{Polling: 0, WebSocket: 0}, Refused: map[int]int64{}, Closed: map[Reason]int64{}}
	s.upgrader = websocket.Upgrader{
		HandshakeTimeout: s.cfg.UpgradeTimeout,
		ReadBufferSize:   1 << 10,                                  // clients send little, and there are many of them
		WriteBufferPool:  new(sync.Pool),                           // never used: frames are written by the session's own writer
		CheckOrigin:      func(*http.Request) bool { return true }, // it was judged before
	}
	return s
}

// ServeHTTP answers a request of a client: a handshake, a poll, a payload, or the opening of a WebSocket, which is
// served until it ends or Shutdown.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.boundBody(w, r)
	origin, ok := s.admit(w, r)
	if !ok {
		s.refuse(w, errForbidden)
		return
	}
	if r.Method == http.MethodOptions {
		preflight(w, r)
		return
	}
	if why := s.serve(w, r, origin); why != nil {
		s.refuse(w, why)
	}
}

// serve answers a request whose origin may come in, unless there is a reason not to.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, origin string) *refusal {
	query := r.URL.Query()
	transport, sid := query.Get("transport"), query.Get("sid")
	switch {
	case transport != Polling && transport != WebSocket:
		return errTransport
	case query.Get("EIO") != "4":
		return errProtocol
	case websocket.IsWebSocketUpgrade(r) != (transport == WebSocket):
		return errRequest
	case sid == "" && r.Method != http.MethodGet:
		return errMethod
	case r.Method == http.MethodGet && r.ContentLength != 0: // a body would keep us from seeing that the client goes
		return errRequest
	case sid == "":
		return s.handshake(w, r, transport, origin)
	}
	session := s.find(sid)
	switch {
	case session == nil:
		return errSession
	case !session.sameOrigin(origin):
		return errForbidden
	case transport == WebSocket:
		return s.openUpgrade(w, r, session)
	case r.Method == http.MethodGet:
		session.poll(w, r)
	case r.Method == http.MethodPost:
		session.push(w, r)
	default:
		return errRequest
	}
	return nil
}

// handshake opens a session.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request, transport, origin string) *refusal {
	if !s.takePlace() {
		return errOverload
	}
	session := newSession(s, r, transport, origin)
	if err := s.accepted(r, session); err != nil {
		return unavailable(err)
	}
	if transport == WebSocket {
		return s.openSocket(w, r, session)
	}
	// A client that has gone by now is not told from one that has its answer and closed the connection.
	if err := s.answer(w, session.openPacket([]string{WebSocket})); err != nil {
		session.end(ReasonLost) // nobody knows its id
	}
	return nil
}

// accepted begins the session with the peer that it is given. Without one its place is given back.
func (s *Server) accepted(r *http.Request, session *Session) error {
	begun := false
	defer func() {
		if !begun { // by a panic perhaps
			session.discard()
			s.giveUp()
		}
	}()
	peer, err := s.cfg.Accept(r, session)
	if err != nil {
		return err
	}
	begun = true
	session.begin(peer)
	return nil
}

// openPacket is the first packet of a session (Engine.IO protocol 4, "Handshake").
func (s *Session) openPacket(upgrades []string) []byte {
	cfg := &s.server.cfg
	open, _ := json.Marshal(struct { // strings and numbers cannot fail
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int      `json:"maxPayload"`
	}{s.id, upgrades, cfg.PingInterval.Milliseconds(), cfg.PingTimeout.Milliseconds(), cfg.MaxPayload})
	return append([]byte{packetOpen}, open...)
}

func (s *Server) find(sid string) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[sid]
}

// takePlace counts a session before there is one, so that neither the bound nor Shutdown misses a handshake that is
// under way.
func (s *Server) takePlace() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.places >= s.cfg.MaxSessions {
		return false
	}
	s.places++
	s.running.Add(1)
	return true
}

func (s *Server) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places--
	s.running.Done()
}

// add lets requests find a session that begins. It says whether Shutdown, which has not seen it, has begun before, and
// whether it waits no more. It is called under the session's lock, as forget and linger are.
func (s *Server) add(session *Session) (closing, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[session.id] = session
	s.stats.Opened++
	s.stats.Open[session.transport]++
	return s.closing, s.cut
}

// forget lets no request find the session any more.
func (s *Server) forget(session *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, session.id)
}

// linger lets requests find a session that has ended.
func (s *Server) linger(session *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[session.id] = session
}

// left gives the place of a session back that has ended.
func (s *Server) left(session *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places--
	s.stats.Open[session.transport]--
	s.stats.Closed[session.ended]++
	s.running.Done()
}

// Shutdown closes every session, as Session.Close does with ReasonShutdown, and waits for all to end. When ctx ends
// first they are cut, and its error is returned. New handshakes are refused.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	for _, session := range s.all() {
		session.Close(ReasonShutdown)
	}
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.cut = true
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, session := range s.all() {
		session.end(ReasonShutdown)
	}
	for _, c := range conns {
		_ = c.ws.Close()
	}
	<-ended
	return ctx.Err()
}

func (s *Server) all() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Session, 0, len(s.sessions))
	for _, session := range s.sessions {
		all = append(all, session)
	}
	return all
}

// addConn counts a WebSocket before its handshake. It answers false when the server stops.
func (s *Server) addConn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.running.Add(1)
	return true
}

// opened lets Shutdown cut a WebSocket.
func (s *Server) opened(c *conn) {
	s.mu.Lock()
	cut := s.cut
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	if cut {
		_ = c.ws.Close()
	}
}

func (s *Server) removeConn(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.running.Done()
}
