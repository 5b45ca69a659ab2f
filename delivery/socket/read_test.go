package socket

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gorilla/websocket"
)

// sent is a connection on which a client has sent something and is gone.
type sent struct {
	net.Conn
	in io.Reader
}

func (s sent) Read(p []byte) (int, error) { return s.in.Read(p) }

// frame is a frame of a client.
func frame(first byte, payload string) []byte {
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	out := []byte{first}
	switch n := len(payload); {
	case n < 126:
		out = append(out, 0x80|byte(n))
	case n < 1<<16:
		out = append(out, 0x80|126, byte(n>>8), byte(n))
	default:
		out = append(out, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	out = append(out, mask[:]...)
	for i := range len(payload) {
		out = append(out, payload[i]^mask[i%4])
	}
	return out
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// spell reads all there is. Long texts are spelled by their size.
func spell(c interface {
	NextReader() (int, io.Reader, error)
	SetPingHandler(func(string) error)
	SetPongHandler(func(string) error)
},
) string {
	var out []string
	say := func(kind string, text string) {
		if len(text) > 30 {
			text = fmt.Sprintf("%d bytes", len(text))
		}
		out = append(out, fmt.Sprintf("%s(%s)", kind, text))
	}
	c.SetPingHandler(func(p string) error { say("ping", p); return nil })
	c.SetPongHandler(func(p string) error { say("pong", p); return nil })
	for {
		kind, body, err := c.NextReader()
		var text []byte
		if err == nil {
			text, err = io.ReadAll(body)
		}
		var closed *websocket.CloseError
		switch {
		case err == nil:
			say(map[int]string{websocket.TextMessage: "text", websocket.BinaryMessage: "binary"}[kind], string(text))
			continue
		case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
			say("close", fmt.Sprint(closed.Code, " ", closed.Text))
		case strings.HasPrefix(err.Error(), "websocket: ") && closed == nil:
			say("broken", "")
		default:
			say("cut", "")
		}
		return strings.Join(out, " ")
	}
}

func read(in io.Reader) *Conn { return &Conn{raw: sent{in: in}} }

func TestWhatAClientSendsIsRead(t *testing.T) {
	t.Parallel()
	long, longer := strings.Repeat("a", 1000), strings.Repeat("b", 70_000)
	for name, tc := range map[string]struct {
		sent []byte
		want string
	}{
		"a message":                        {frame(0x81, "hello"), "text(hello) cut()"},
		"nothing in it":                    {frame(0x81, ""), "text() cut()"},
		"two":                              {join(frame(0x81, "a"), frame(0x82, "b")), "text(a) binary(b) cut()"},
		"of every length":                  {join(frame(0x81, strings.Repeat("x", 125)), frame(0x82, long), frame(0x81, longer)), "text(125 bytes) binary(1000 bytes) text(70000 bytes) cut()"},
		"in parts":                         {join(frame(0x01, "a"), frame(0x00, ""), frame(0x00, "b"), frame(0x80, "c")), "text(abc) cut()"},
		"a ping between its parts":         {join(frame(0x01, "a"), frame(0x89, "p"), frame(0x80, "b")), "ping(p) text(ab) cut()"},
		"a pong":                           {join(frame(0x8A, strings.Repeat("x", 125)), frame(0x81, "a")), "pong(125 bytes) text(a) cut()"},
		"a close frame":                    {join(frame(0x88, "\x03\xe8bye"), frame(0x81, "a")), "close(1000 bye)"},
		"a close frame without a code":     {frame(0x88, ""), "close(1005 )"},
		"half a code":                      {frame(0x88, "\x03"), "broken()"},
		"a code that may not be sent":      {frame(0x88, "\x03\xed"), "broken()"},
		"a reason that is not UTF-8":       {frame(0x88, "\x03\xe8\xff"), "broken()"},
		"cut in a header":                  {frame(0x82, long)[:3], "cut()"},
		"cut in a message":                 {frame(0x82, long)[:500], "cut()"},
		"cut between parts":                {frame(0x01, "a"), "cut()"},
		"not masked":                       {[]byte{0x81, 1, 'x'}, "broken()"},
		"reserved bits":                    {frame(0xC1, "a"), "broken()"},
		"an unknown kind":                  {frame(0x83, "a"), "broken()"},
		"an unknown control frame":         {frame(0x8B, "a"), "broken()"},
		"a ping in parts":                  {frame(0x09, "a"), "broken()"},
		"a ping that is too long":          {frame(0x89, strings.Repeat("x", 126)), "broken()"},
		"goes on without having begun":     {frame(0x80, "a"), "broken()"},
		"begins within another":            {join(frame(0x01, "a"), frame(0x81, "b")), "broken()"},
		"a length that cannot be":          {[]byte{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, "broken()"},
		"what was not broken comes before": {join(frame(0x81, "a"), frame(0x83, "b")), "text(a) broken()"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := spell(read(bytes.NewReader(tc.sent))); got != tc.want {
				t.Errorf("at once: %s, want %s", got, tc.want)
			}
			if got := spell(read(iotest.OneByteReader(bytes.NewReader(tc.sent)))); got != tc.want {
				t.Errorf("byte after byte: %s, want %s", got, tc.want)
			}
			if got := spell(library(t, tc.sent)); got != tc.want && tc.want != "broken()" {
				t.Errorf("the library has %s, want %s", got, tc.want)
			}
		})
	}
}

func TestWhatIsNotReadOfAMessageIsPassedOver(t *testing.T) {
	t.Parallel()
	c := read(bytes.NewReader(join(frame(0x01, strings.Repeat("x", 1000)), frame(0x80, "y"), frame(0x81, "b"))))
	if _, body, err := c.NextReader(); err != nil {
		t.Fatal(err)
	} else if _, err := body.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if got := spell(c); got != "text(b) cut()" {
		t.Errorf("got %s", got)
	}
}

func TestTheReadLimitHoldsForAMessage(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string][]byte{
		"in one frame": frame(0x81, "abcdef"), "in parts": join(frame(0x01, "abc"), frame(0x80, "def")), "announced": {0x81, 0xFF, 0x7F, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4},
	} {
		c := read(bytes.NewReader(join(frame(0x81, "abcde"), frame(0x81, "abc"), sent)))
		c.SetReadLimit(5)
		if got := spell(c); got != "text(abcde) text(abc) broken()" {
			t.Errorf("%s: %s", name, got)
		}
		if _, _, err := c.NextReader(); !errors.Is(err, websocket.ErrReadLimit) || !IsProtocolError(err) {
			t.Errorf("%s: then %v", name, err)
		}
	}
}

func TestWhyNothingCanBeReadComesAgain(t *testing.T) {
	t.Parallel()
	c := read(bytes.NewReader(join(frame(0x88, "\x03\xe8"), frame(0x81, "a"))))
	for range 2 {
		if _, _, err := c.NextReader(); !websocket.IsCloseError(err, 1000) {
			t.Errorf("got %v", err)
		}
	}
}

func TestTheErrorOfAHandlerEndsTheReading(t *testing.T) {
	t.Parallel()
	c := read(bytes.NewReader(join(frame(0x89, ""), frame(0x81, "a"))))
	c.SetPingHandler(func(string) error { return io.ErrClosedPipe })
	if _, _, err := c.NextReader(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// library is the library's own reader of the same.
func library(t *testing.T, in []byte) *websocket.Conn {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, value := range map[string]string{
		"Connection": "upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13", "Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	there, here := net.Pipe()
	t.Cleanup(func() { _ = here.Close(); _ = there.Close() })
	go func() { _, _ = io.Copy(io.Discard, there) }()
	c, err := (&websocket.Upgrader{}).Upgrade(&hijacked{httptest.NewRecorder(), sent{Conn: here, in: bytes.NewReader(in)}}, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type hijacked struct {
	http.ResponseWriter
	conn sent
}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(strings.NewReader("")), bufio.NewWriter(h.conn)), nil
}

// Whatever a client sends is read as the library reads it, of which only this is stricter: half a code is none.
func FuzzReadsAsTheLibraryDoes(f *testing.F) {
	f.Add(join(frame(0x01, "a"), frame(0x89, "p"), frame(0x80, "b"), frame(0x88, "\x03\xe8bye")))
	f.Add(join(frame(0x82, strings.Repeat("x", 300)), frame(0x81, ""), frame(0x83, "")))
	f.Add([]byte{0x81, 0xFF, 0x7F, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, want := spell(read(bytes.NewReader(in))), spell(library(t, in))
		stricter := strings.HasSuffix(want, "close(1005 )") && strings.HasSuffix(got, "broken()")
		if got != want && !stricter {
			t.Errorf("%x: %s, the library has %s", in, got, want)
		}
	})
}
