package simulation

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// news is an event in the log of the server below.
type news struct {
	seq      int64
	channels []string
	event    string
	data     string
}

// fakeServer speaks the socket's protocol and serves the feed, from a log in memory. It can be made to break its
// promises.
type fakeServer struct {
	t   *testing.T
	url string

	mu      sync.Mutex
	log     []news
	changed chan struct{} // closed and replaced when the log grows
	conns   []*websocket.Conn
	asked   []json.RawMessage // the data of every register
	heard   []string          // names of all messages
	running sync.WaitGroup

	// send says what is sent for an event that is due: nil means the event itself. prev is what it follows on.
	send func(connection int, prev int64, n news) []string
	// greet may end a connection instead of registering it.
	greet func(connection int, conn *websocket.Conn) bool
	// refuse are rooms that a client may not have back.
	refuse []string
}

func newFakeServer(t *testing.T) *fakeServer {
	s := &fakeServer{t: t, changed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.socket)
	mux.HandleFunc("/api/v1/feed", s.feed)
	server := httptest.NewServer(mux)
	s.url = server.URL
	t.Cleanup(func() {
		s.mu.Lock()
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.running.Wait()
		server.Close()
	})
	return s
}

// add appends an event and returns its seq.
func (s *fakeServer) add(event, data string, channels ...string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := news{int64(len(s.log) + 1), channels, event, data}
	s.log = append(s.log, n)
	close(s.changed)
	s.changed = make(chan struct{})
	return n.seq
}

// cutAll breaks all connections.
func (s *fakeServer) cutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
}

func (s *fakeServer) registrations() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// after are the events of some channels after a seq, the head of the log, and what tells of more.
func (s *fakeServer) after(seq int64, channels []string) (found []news, head int64, more <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.log[min(seq, int64(len(s.log))):] {
		if slices.ContainsFunc(n.channels, func(c string) bool { return slices.Contains(channels, c) }) {
			found = append(found, n)
		}
	}
	return found, int64(len(s.log)), s.changed
}

func encoded(prev int64, n news) string {
	return fmt.Sprintf(`{"prev":%d,"seq":%d,"event":%q,"data":%s,"at":"2026-01-02T03:04:05.%06dZ"}`, prev, n.seq, n.event, n.data, n.seq)
}

// channelsOf a token, which here is ROLE:USER.
func channelsOf(token string) []string {
	role, user, _ := strings.Cut(token, ":")
	return []string{"all", "role:" + role, "user:" + user}
}

func (s *fakeServer) feed(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.ParseInt(r.URL.Query().Get("lastSeq"), 10, 64)
	found, head, _ := s.after(after, channelsOf(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
	const page = 3 // so that there are several
	if len(found) > page {
		found = found[:page]
		head = found[page-1].seq
	}
	items, prev := []json.RawMessage{}, after
	for _, n := range found {
		items = append(items, json.RawMessage(encoded(prev, n)))
		prev = n.seq
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "seq": max(head, after)})
}

func (s *fakeServer) socket(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"orderlog.v1.batch", "orderlog.v1"}}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.t.Errorf("a handshake failed: %v", err)
		return
	}
	s.mu.Lock()
	s.conns = append(s.conns, conn)
	number := len(s.conns)
	s.running.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.running.Done()
		defer func() { _ = conn.Close() }()
		s.serve(number, conn)
	}()
}

// link is one connection of a client.
type link struct {
	s        *fakeServer
	number   int
	conn     *websocket.Conn
	mu       sync.Mutex
	channels []string
	prev     int64
}

func (s *fakeServer) serve(number int, conn *websocket.Conn) {
	var m struct {
		Data json.RawMessage `json:"data"`
	}
	if conn.ReadJSON(&m) != nil || (s.greet != nil && !s.greet(number, conn)) {
		return
	}
	var reg struct {
		Token   string   `json:"token"`
		LastSeq *int64   `json:"lastSeq"`
		Rooms   []string `json:"rooms"`
	}
	if err := json.Unmarshal(m.Data, &reg); err != nil {
		s.t.Errorf("register came with %s: %v", m.Data, err)
		return
	}
	s.mu.Lock()
	s.asked = append(s.asked, m.Data)
	head := int64(len(s.log))
	s.mu.Unlock()
	l := &link{s: s, number: number, conn: conn, channels: channelsOf(reg.Token), prev: head}
	refused := []string{}
	for _, room := range reg.Rooms {
		if slices.Contains(s.refuse, room) {
			refused = append(refused, room)
		} else {
			l.channels = append(l.channels, room)
		}
	}
	l.write(`{"event":"registered","data":{"log":"L","seq":%d,"refused":["%s"]}}`, head, strings.Join(refused, `","`))
	if reg.LastSeq != nil {
		l.prev = *reg.LastSeq
		l.events()
		l.prev = head
		l.write(`{"event":"caught_up","data":{"seq":%d}}`, head)
	}
	ended := make(chan struct{})
	var listening sync.WaitGroup
	listening.Go(func() {
		defer close(ended)
		l.listen()
	})
	for more := l.events(); ; more = l.events() {
		select {
		case <-more:
			continue
		case <-ended:
		}
		break
	}
	listening.Wait()
}

func (l *link) write(format string, args ...any) {
	_ = l.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...)) // a client that is gone comes back
}

// events sends what is due.
func (l *link) events() (more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, _, more := l.s.after(l.prev, l.channels)
	for _, n := range found {
		lines := []string(nil)
		if l.s.send != nil {
			lines = l.s.send(l.number, l.prev, n)
		}
		if lines == nil {
			lines = []string{encoded(l.prev, n)}
		}
		for _, line := range lines {
			l.write("%s", line)
		}
		l.prev = n.seq
	}
	return more
}

// listen answers the client.
func (l *link) listen() {
	for {
		var m struct {
			Event string `json:"event"`
			ID    int64  `json:"id"`
			Data  struct {
				OrderID string `json:"orderId"`
				LastSeq int64  `json:"lastSeq"`
			} `json:"data"`
		}
		if l.conn.ReadJSON(&m) != nil {
			return
		}
		l.s.mu.Lock()
		l.s.heard = append(l.s.heard, m.Event)
		l.s.mu.Unlock()
		l.mu.Lock()
		room := "order:" + m.Data.OrderID
		events, prev := []string{}, m.Data.LastSeq
		switch m.Event {
		case "join:order":
			l.channels = append(l.channels, room)
			found, _, _ := l.s.after(m.Data.LastSeq, []string{room})
			for _, n := range found {
				if n.seq <= l.prev {
					events = append(events, encoded(prev, n))
					prev = n.seq
				}
			}
		case "leave:order":
			l.channels = slices.DeleteFunc(l.channels, func(c string) bool { return c == room })
		}
		if m.ID != 0 {
			l.write(`{"ack":%d,"data":{"room":%q,"seq":%d,"events":[%s]}}`, m.ID, room, l.prev, strings.Join(events, ","))
		}
		l.mu.Unlock()
	}
}

// someone is a user whose token the fake server reads.
func someone(role domain.Role, id string) *user {
	return &user{id: id, name: id, role: role, sign: func(i auth.Identity) (string, error) {
		return string(i.Role) + ":" + i.UserID, nil
	}}
}

// connected starts a client and waits until it is registered. stop ends it and returns its record.
func (s *fakeServer) connected(u *user, change func(*client)) (c *client, stop func() *journal) {
	s.t.Helper()
	c = &client{
		name: u.id, user: u, url: socketURL(s.url), batch: true, life: time.Hour, heard: remembered, stats: &stats{},
		journal: newJournal(), memory: map[string]bool{}, asked: map[int64]func(frame){},
	}
	if change != nil {
		change(c)
	}
	end := parttest.Run(s.t, endless(c))
	if err := c.isOnline(s.t.Context()); err != nil && c.dead == nil {
		s.t.Fatal(err)
	}
	return c, func() *journal {
		end()
		return c.record()
	}
}
