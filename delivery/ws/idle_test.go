package ws

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
)

// A connection that has registered, and is told nothing, is one goroutine, which waits for what its client says, and
// little memory. It is not parallel, because it looks at the whole program.
func TestAConnectionThatIsIdleCostsLittle(t *testing.T) { //nolint:paralleltest // as said
	const connections, mostHeap = 400, 6 << 10
	s := serve(t, options{})
	s.registerBare(t, "first") // what all share is there
	goroutines := runtime.NumGoroutine()
	heap, stack := memory()
	for i := range connections {
		s.registerBare(t, fmt.Sprintf("user-%d", i))
	}
	eventually(t, "one goroutine a connection is left", func() bool { return runtime.NumGoroutine() <= goroutines+connections })
	heapAfter, stackAfter := memory()
	if each := (heapAfter - heap) / connections; each > mostHeap {
		t.Errorf("each takes %d bytes of the heap, more than %d", each, mostHeap)
	}
	if each := (stackAfter - stack) / connections; each > mostStack {
		t.Errorf("each takes %d bytes of stack, more than %d", each, mostStack)
	}
	s.handler.mu.Lock()
	defer s.handler.mu.Unlock()
	for c := range s.handler.conns {
		if !c.writing.ask() {
			t.Fatal("an idle connection has a writer")
		}
		c.writing.do(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.control != nil || c.writer.wire.Len() != 0 || c.cancel != nil {
				t.Error("an idle connection keeps what it was told")
			}
		})
	}
}

// memory is what the heap and the stacks take at least.
func memory() (heap, stack uint64) {
	var m runtime.MemStats
	for range 6 { // each collection halves the stacks that are too large, and what was in a pool is gone after two
		debug.FreeOSMemory()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

// registerBare has a client register that keeps nothing but its socket.
func (s *server) registerBare(t *testing.T, user string) {
	t.Helper()
	host, _, _ := strings.Cut(strings.TrimPrefix(s.url, "ws://"), "/")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", host)
	in := bufio.NewReaderSize(conn, 1024)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %+v, %v", resp, err)
	}
	_ = resp.Body.Close()
	text := fmt.Sprintf(`{"event":"register","data":{"token":%q}}`, token(user, domain.RoleCustomer, time.Hour))
	if _, err := conn.Write(append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, 4)
	if _, err := in.Read(header); err != nil { // it is answered
		t.Fatal(err)
	}
}
