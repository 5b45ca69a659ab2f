package socket

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/internal/parttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is both ends of a connection: the server's, and the client's.
func pair(t *testing.T) (*Conn, *websocket.Conn) {
	t.Helper()
	upgraded := make(chan *Conn, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := Upgrade(&websocket.Upgrader{}, w, r, nil, 32<<10)
		if err != nil {
			t.Errorf("Upgrade: %v", err)
		}
		upgraded <- c
	}))
	t.Cleanup(web.Close)
	client, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(web.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	server := parttest.Await(t, "the handshake", upgraded)
	t.Cleanup(func() { _ = server.Close(); _ = client.Close() })
	return server, client
}

func TestWhatIsGatheredGoesOutAtOnce(t *testing.T) {
	t.Parallel()
	server, client := pair(t)
	w := NewWire(true)
	w.Text([]byte("one"))
	w.Text([]byte("two"))
	w.Binary([]byte{3})
	w.Text([]byte("four"))
	w.Close(1000, "bye")
	if n, err := server.Write(w.Bytes(), time.Second, func() {}, nil); err != nil || n != w.Len() {
		t.Fatalf("wrote %d of %d, %v", n, w.Len(), err)
	}
	w.Reset()
	if w.Len() != 0 {
		t.Errorf("%d bytes are left", w.Len())
	}
	for _, want := range []struct {
		kind int
		text string
	}{{websocket.TextMessage, "one\ntwo"}, {websocket.BinaryMessage, "\x03"}, {websocket.TextMessage, "four"}} {
		if kind, text, err := client.ReadMessage(); err != nil || kind != want.kind || string(text) != want.text {
			t.Errorf("got %d %q, %v", kind, text, err)
		}
	}
	if _, _, err := client.ReadMessage(); !websocket.IsCloseError(err, 1000) {
		t.Errorf("got %v", err)
	}
}

// What got stuck is finished, so that the close frame behind it can be read.
func TestAWriteThatIsStuckEndsAtAFrame(t *testing.T) {
	t.Parallel()
	server, client := pair(t)
	w, sent := NewWire(false), 0
	for {
		for range 1000 {
			w.Text(make([]byte, 10_000))
		}
		n, err := server.Write(w.Bytes(), 100*time.Millisecond, func() {}, nil)
		sent += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.Stuck(n)
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		w.Reset()
	}
	if w.Len() >= 10_004 {
		t.Errorf("%d bytes are kept", w.Len())
	}
	sent += w.Len()
	w.Close(4409, "slow_consumer")
	wrote := make(chan error, 1)
	go func() {
		_, err := server.Write(w.Bytes(), 10*time.Second, func() {}, nil)
		wrote <- err
	}()
	for {
		_, text, err := client.ReadMessage()
		if err != nil {
			if !websocket.IsCloseError(err, 4409) {
				t.Errorf("got %v", err)
			}
			break
		}
		if len(text) != 10_000 {
			t.Errorf("a message of %d bytes", len(text))
		}
		sent -= len(text) + 4
	}
	if err := parttest.Await(t, "the write", wrote); err != nil || sent != 0 {
		t.Errorf("%v; %d bytes were lost", err, sent)
	}
}

func TestAWriteIsGivenUpWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	server, _ := pair(t)
	stop := make(chan struct{})
	close(stop)
	if _, err := server.Write(make([]byte, 64<<20), 160*time.Millisecond, func() {}, stop); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
