package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestBodiesThatCanBeReadInTwoWays(t *testing.T) {
	t.Parallel()
	status := prefix + "/business/status"
	for name, tc := range map[string]struct{ body, says string }{
		"a name twice":                      {`{"isOpen":true,"isOpen":false}`, `\"isOpen\" twice`},
		"a name twice, in other letters":    {`{"isOpen":true,"ISOPEN":false}`, `\"ISOPEN\" twice`},
		"in letters only the decoder folds": {`{"isOpen":true,"message":"a","meſſage":"b"}`, "twice"},
		"a name twice further inside":       {`{"isOpen":true,"x":[{"a":{"b":1,"b":2}}]}`, `\"b\" twice`},
		"an unknown name twice":             {`{"isOpen":true,"x":1,"x":1}`, "twice"},
		"a name that is long":               {`{"isOpen":true,"` + strings.Repeat("x", 999) + `":1,"` + strings.Repeat("x", 999) + `":1}`, "xxx\\\" twice"},
		"half of a surrogate pair":          {`{"isOpen":true,"message":"\ud800 sold out"}`, "half of a surrogate pair"},
		"the other half":                    {`{"isOpen":true,"message":"\udc00"}`, "half of a surrogate pair"},
		"lists in lists":                    {`{"isOpen":true,"x":` + strings.Repeat("[", 60_000) + `}`, "deeper than 32"},
		"objects in objects":                {`{"isOpen":true,"x":` + strings.Repeat(`{"x":`, 10_000) + `1` + strings.Repeat(`}`, 10_000) + `}`, "deeper than 32"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			got := ask(t, w.handler(t), "PATCH", status, "admin", tc.body)
			refused(t, got, 400, "invalid_request")
			if !strings.Contains(got.text, tc.says) || len(got.text) > 700 {
				t.Errorf("does not say %s: %s", tc.says, got.text)
			}
			if len(w.cmds) > 0 {
				t.Error("carried out all the same")
			}
		})
	}
	for name, body := range map[string]string{
		"one name in two objects":       `{"isOpen":true,"x":{"isOpen":1},"y":[{"a":1},{"a":2}]}`,
		"a name as a value":             `{"isOpen":true,"a":"isOpen","b":"isOpen"}`,
		"32 levels":                     `{"isOpen":true,"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`,
		"empty objects and empty lists": `{"isOpen":true,"x":{},"y":[],"z":[{},[]]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The form is good: what is refused are the fields themselves, which nobody knows.
			got := ask(t, newWorld().handler(t), "PATCH", status, "admin", body)
			refused(t, got, 400, "invalid_request")
			if !strings.Contains(got.text, "there is no such field") || strings.Contains(got.text, "twice") {
				t.Errorf("got %s", got.text)
			}
		})
	}
}

// Who may ask is settled first, here too.
func TestRightsComeBeforeTheNames(t *testing.T) {
	t.Parallel()
	refused(t, ask(t, newWorld().handler(t), "PATCH", prefix+"/business/status", "asha", `{"isOpen":true,"isOpen":true}`), 403, "forbidden")
}

func TestLargeBodiesAreRefusedUnread(t *testing.T) {
	t.Parallel()
	w := newWorld()
	body := &counted{Reader: io.LimitReader(neverEnding('x'), 10<<20)}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, prefix+"/orders", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer asha")
	out := &discard{header: http.Header{}}
	w.handler(t).ServeHTTP(out, r)
	if out.status != 413 || body.read > maxBodyBytes+1 {
		t.Errorf("got %d after %d bytes", out.status, body.read)
	}
	if len(w.cmds) > 0 {
		t.Error("carried out all the same")
	}
}

type counted struct {
	io.Reader
	read int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

// A client that sends its body drop by drop is told to hurry after 10 s, and does not hold the server longer.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		server := &http.Server{Handler: w.handler(t)}
		client, end := net.Pipe()
		line := &oneConnection{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		line.conn <- end
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(line) }()

		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = fmt.Fprintf(client, "POST %s/orders HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer asha\r\nContent-Length: 1000\r\n\r\n", prefix)
			for range 100 { // one byte a second, until the server has enough of it
				pass(t, time.Second)
				if _, err := client.Write([]byte("{")); err != nil {
					return
				}
			}
		}()
		answer, err := io.ReadAll(client)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(answer); !strings.HasPrefix(text, "HTTP/1.1 400 ") || !strings.Contains(text, "more than 10s") || !strings.Contains(text, "Connection: close") {
			t.Errorf("got %s", text)
		}
		if err := server.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		_ = client.Close()
		<-sent
		if len(w.cmds) > 0 {
			t.Error("carried out all the same")
		}
	})
}

// oneConnection is a listener that has one.
type oneConnection struct {
	conn   chan net.Conn
	closed chan struct{}
}

func (l *oneConnection) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConnection) Close() error {
	close(l.closed)
	return nil
}

func (l *oneConnection) Addr() net.Addr { return &net.TCPAddr{} }
