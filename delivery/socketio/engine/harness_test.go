package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer sends what it is given, and holds the engine to its promises: one call at a time, none after Close, one Close.
type peer struct {
	t       testing.TB
	session *engine.Session
	receive func(ctx context.Context, m engine.Message) error // nil: it is kept
	fill    func(ctx context.Context)                         // called before each Fill

	filling, receiving atomic.Int32
	closed             chan engine.Reason

	mu       sync.Mutex
	over     bool
	queue    []engine.Message
	received []string
}

func (p *peer) enter(calls *atomic.Int32) (leave func()) {
	if calls.Add(1) != 1 {
		p.t.Error("a peer was called by two at once")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		p.t.Error("a peer was called after Close")
	}
	return func() { calls.Add(-1) }
}

func (p *peer) Receive(ctx context.Context, m engine.Message) error {
	defer p.enter(&p.receiving)()
	p.mu.Lock()
	p.received = append(p.received, string(m.Data))
	p.mu.Unlock()
	if p.receive != nil {
		return p.receive(ctx, m)
	}
	return nil
}

func (p *peer) Fill(ctx context.Context, b *engine.Batch) (time.Time, bool) {
	defer p.enter(&p.filling)()
	if p.fill != nil {
		p.fill(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 && !b.Full() {
		if m := p.queue[0]; m.Binary {
			b.Binary(m.Data)
		} else {
			b.Text(m.Data)
		}
		p.queue = p.queue[1:]
	}
	return time.Time{}, false
}

func (p *peer) Close(reason engine.Reason) {
	if p.filling.Load() != 0 || p.receiving.Load() != 0 {
		p.t.Error("a peer was closed while it was called")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		p.t.Error("a peer was closed twice")
		return
	}
	p.over = true
	p.closed <- reason
}

func (p *peer) send(texts ...string) {
	p.mu.Lock()
	for _, text := range texts {
		p.queue = append(p.queue, engine.Message{Data: []byte(text)})
	}
	p.mu.Unlock()
	p.wake()
}

// echo sends back what comes.
func (p *peer) echo(_ context.Context, m engine.Message) error {
	p.mu.Lock()
	p.queue = append(p.queue, engine.Message{Binary: m.Binary, Data: bytes.Clone(m.Data)})
	p.mu.Unlock()
	p.wake()
	return nil
}

func (p *peer) wake() {
	select {
	case p.session.Wake() <- struct{}{}:
	default:
	}
}

func (p *peer) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.received...)
}

// world is a server with its peers.
type world struct {
	t      testing.TB
	server *engine.Server
	web    *http.Server // nil: it listens nowhere
	url    string
	peers  chan *peer // in the order of their handshakes
}

// newWorld starts a server. with may change its configuration and its peers.
func newWorld(t testing.TB, with func(*engine.Config), each func(*peer)) *world {
	t.Helper()
	w := newHandler(t, with, each)
	web := httptest.NewUnstartedServer(w.server)
	web.Config.ReadTimeout = 30 * time.Second
	web.Start()
	w.web, w.url = web.Config, web.URL
	t.Cleanup(func() {
		w.stop()
		web.Close()
	})
	return w
}

// newHandler makes a server that listens nowhere.
func newHandler(t testing.TB, with func(*engine.Config), each func(*peer)) *world {
	w := &world{t: t, peers: make(chan *peer, 20_000)}
	cfg := engine.Config{
		Accept: func(_ *http.Request, s *engine.Session) (engine.Peer, error) {
			p := &peer{t: t, session: s, closed: make(chan engine.Reason, 1)}
			if each != nil {
				each(p)
			}
			w.peers <- p
			return p, nil
		},
		CloseTimeout: time.Second,
	}
	if with != nil {
		with(&cfg)
	}
	w.server = engine.New(cfg)
	return w
}

// stop ends all sessions, whoever is still there.
func (w *world) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.server.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
		w.t.Errorf("Shutdown: %v", err)
	}
}

func (w *world) peer() *peer {
	w.t.Helper()
	return parttest.Await(w.t, "a handshake", w.peers)
}

func (w *world) dial(opts enginetest.Options) (*enginetest.Client, *peer) {
	w.t.Helper()
	c, err := enginetest.Dial(w.t.Context(), w.url, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Cut)
	return c, w.peer()
}

// do makes a request. query begins after "?EIO=4".
func (w *world) do(ctx context.Context, method, query, body string, header ...string) (status int, answer string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, w.url+"/engine.io/?EIO=4"+query, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	got, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		return 0, err.Error()
	}
	return got.StatusCode, string(text)
}

// open makes a session that polls, without a client.
func (w *world) open() (sid string, p *peer) {
	w.t.Helper()
	status, answer := w.do(w.t.Context(), "GET", "&transport=polling", "")
	if status != http.StatusOK {
		w.t.Fatalf("the handshake was answered %d %s", status, answer)
	}
	p = w.peer()
	return p.session.ID(), p
}

func (w *world) poll(sid string) (int, string) {
	w.t.Helper()
	return w.do(w.t.Context(), "GET", "&transport=polling&sid="+sid, "")
}

func (w *world) post(sid, body string) (int, string) {
	w.t.Helper()
	return w.do(w.t.Context(), "POST", "&transport=polling&sid="+sid, body)
}

type answer struct {
	status int
	body   string
}

// waitingPoll begins a poll and returns when the server has it and waits.
func (w *world) waitingPoll(ctx context.Context, p *peer) <-chan answer {
	w.t.Helper()
	answered := make(chan answer, 1)
	asked := make(chan struct{}, 1)
	p.fill = func(context.Context) {
		select {
		case asked <- struct{}{}:
		default:
		}
	}
	go func() {
		status, body := w.do(ctx, "GET", "&transport=polling&sid="+p.session.ID(), "")
		answered <- answer{status, body}
	}()
	parttest.Await(w.t, "a poll to be asked for", asked)
	return answered
}

// socket opens a WebSocket. sid may be empty.
func (w *world) socket(sid string) *websocket.Conn {
	w.t.Helper()
	url := "ws" + strings.TrimPrefix(w.url, "http") + "/engine.io/?EIO=4&transport=websocket"
	if sid != "" {
		url += "&sid=" + sid
	}
	ws, answer, err := websocket.DefaultDialer.DialContext(w.t.Context(), url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = answer.Body.Close()
	w.t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(30 * time.Second))
	return ws
}

func (w *world) say(ws *websocket.Conn, text string) {
	w.t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) hear(ws *websocket.Conn, want string) {
	w.t.Helper()
	_, got, err := ws.ReadMessage()
	if err != nil || string(got) != want {
		w.t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

// hearClose reads to the close frame.
func (w *world) hearClose(ws *websocket.Conn) int {
	w.t.Helper()
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			var closed *websocket.CloseError
			if !errors.As(err, &closed) {
				w.t.Fatalf("read: %v, want a close frame", err)
			}
			return closed.Code
		}
	}
}

func (w *world) ended(p *peer, want engine.Reason) {
	w.t.Helper()
	if got := parttest.Await(w.t, "a session to end", p.closed); got != want {
		w.t.Errorf("a session ended because of %q, want %q", got, want)
	}
}

// goesOn fails the test unless the session is alive: it answers by WebSocket or by polling.
func (w *world) goesOn(p *peer) {
	w.t.Helper()
	if status, answer := w.post(p.session.ID(), "4still here"); status != http.StatusOK {
		w.t.Errorf("a payload was answered %d %s, want that the session goes on", status, answer)
	}
}

func codeOf(t testing.TB, body string) int {
	t.Helper()
	var refused struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(body), &refused); err != nil || refused.Message == "" {
		t.Errorf("a refusal is %q, want its code and message", body)
	}
	return refused.Code
}
