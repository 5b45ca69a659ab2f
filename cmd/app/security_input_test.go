package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/domain"
)

// hostile is what nobody sends who means well.
var hostile = []string{
	"'", "' OR '1'='1", "'; DROP TABLE events; --", `" OR ""="`, "1) OR (1=1", "%27%20OR%201=1", "\\", "%", "_", "*", "{}", "[]", "$1", "$$", "E'\\x00'",
	"\x00", "a\x00b", "\xff\xfe", "\xc0\xaf", "\ufffd", "\u202e", "\r\nX: y", "\x1b[31m", "-1", "0", "9223372036854775807", "9223372036854775808",
	"-9223372036854775809", "1e309", "NaN", "0x7f", "1.5", "٣", "null", "true", strings.Repeat("9", 400), strings.Repeat("a", 4000),
	"../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "00000000-0000-0000-0000-000000000000", "2026-01-01T00:00:00Z", "0000-00-00T00:00:00Z",
	"99999-01-01T00:00:00Z", "2026-01-01T00:00:00+99:99", "<script>", "eyJhIjoxfQ", "AAAAAAAAAAA=", "${jndi:ldap://x}", "{{7*7}}", "__proto__", "constructor",
}

// TestNoFilterReachesBeyondItsCaller puts every hostile value into every parameter of every GET that the server describes,
// of its path and of its query, as a customer, and as an admin where a customer gets no further: never a failure of the server, never another's order, and the
// tables are there afterwards.
func TestNoFilterReachesBeyondItsCaller(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	own, others := w.place(t, w.ada), w.place(t, w.bob)
	w.must(t, 201, "POST", "/api/v1/orders/"+others+"/payments", w.bob, map[string]any{"method": "cod"})
	asked := 0
	for _, o := range w.parameters(t) {
		values := hostile
		if o.cursor { // one that the server itself gave, of another and tampered with
			values = append(slices.Clone(hostile), w.cursors(t)...)
		}
		for _, value := range values {
			if n, err := strconv.ParseInt(value, 10, 64); o.name == "min_seq" && err == nil && n > 0 {
				continue // a wait for what is not there, as is promised
			}
			for _, token := range []string{w.ada, w.admin} {
				a := w.ask(t, "GET", o.with(value, own), token, "")
				asked++
				if a.status >= 500 {
					t.Errorf("GET %s with %s=%.40q is answered %d %v", o.path, o.name, value, a.status, a.body)
				}
				if body := fmt.Sprint(a.body); token == w.ada && (strings.Contains(body, others) || strings.Contains(body, "BOB")) {
					t.Errorf("GET %s with %s=%.40q shows another's order: %s", o.path, o.name, value, body)
				}
				if a.status != 403 {
					break // else nothing has looked at the value yet
				}
			}
		}
	}
	if asked < 2000 {
		t.Errorf("only %d requests were made: the description is not what it was", asked)
	}
	w.must(t, 200, "GET", "/api/v1/audit/verify", w.admin, nil)
	w.must(t, 200, "GET", "/api/v1/orders/"+others, w.bob, nil)
}

// parameter is one of a GET.
type parameter struct {
	path, name    string
	inPath, query bool
	cursor        bool
}

// with is the request with a value in it; what else the path needs is an order's id.
func (p parameter) with(value, order string) string {
	path := p.path
	if p.inPath {
		path = strings.Replace(path, "{"+p.name+"}", url.PathEscape(value), 1)
	}
	path = strings.NewReplacer("{id}", order, "{code}", "TENTH", "{seq}", "1").Replace(path)
	if p.query {
		path += "?" + url.Values{p.name: {value}}.Encode()
	}
	return path
}

// parameters are those of every GET that the server describes. A stream of events has no end and is asked by its own tests.
func (w *ward) parameters(t *testing.T) (all []parameter) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	w.into(t, "/openapi.json", &document)
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		get, ok := document.Paths[path]["get"]
		if !ok {
			continue
		}
		for _, p := range get.Parameters {
			if p.In == "path" || p.In == "query" {
				all = append(all, parameter{path: path, name: p.Name, inPath: p.In == "path", query: p.In == "query", cursor: p.Name == "cursor"})
			}
		}
	}
	if len(all) < 40 {
		t.Fatalf("only %v", all)
	}
	return all
}

// cursors are one of an admin's list, and what becomes of it when it is changed.
func (w *ward) cursors(t *testing.T) []string {
	t.Helper()
	next, _ := w.must(t, 200, "GET", "/api/v1/orders?limit=1", w.admin, nil).body["next"].(string)
	if next == "" {
		t.Fatal("an admin's list of two orders has no second page")
	}
	return []string{next, next[1:], next + "A", strings.ToUpper(next), next[:len(next)-1], "!" + next}
}

// bombs are bodies that are small on the way and large to whoever reads them, or that two readers read in two ways.
func bombs(field string) map[string]string {
	return map[string]string{
		"deep lists":         `{"` + field + `":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `}`,
		"deep objects":       strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000),
		"deep and not ended": strings.Repeat("[", 60_000),
		"a large list":       `{"` + field + `":[` + strings.Repeat("0,", 30_000) + `0]}`,
		"many names":         `{` + numbered(4000) + `}`,
		"a name twice":       `{"` + field + `":"a","` + field + `":"b"}`,
		"a huge number":      `{"` + field + `":1e999999}`,
		"many digits":        `{"` + field + `":` + strings.Repeat("9", 60_000) + `}`,
		// By so little that nothing of it is left unread, for which the connection would be reset before its answer is read.
		"too large":   `{"` + field + `":"` + strings.Repeat("x", 64<<10) + `"}`,
		"half a pair": `{"` + field + `":"\ud800"}`,
		"no UTF-8":    "{\"" + field + "\":\"\xff\"}",
		"not ended":   `{"` + field + `":"`,
		"nothing":     ``,
		"a prototype": `{"__proto__":{"role":"admin","isAdmin":true},"constructor":{"prototype":{"role":"admin"}}}`,
	}
}

func numbered(n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf(`"n%d":%d`, i, i))
	}
	return strings.Join(names, ",")
}

// TestBombsAreRefused sends them to every operation that takes a body, to /ws and to Socket.IO. Each is refused, and the
// server answers the next one.
func TestBombsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	o := w.carried(t)
	for _, operation := range slices.Sorted(maps.Keys(permissions)) {
		method, path, _ := strings.Cut(operation, " ")
		if method == "GET" || strings.HasSuffix(path, "/webhook") || strings.HasSuffix(path, "/ticket") ||
			strings.HasSuffix(path, "/read-all") || strings.HasSuffix(path, "/collect") || strings.HasSuffix(path, "/read") || method == "DELETE" {
			continue // without a body, or signed
		}
		path = strings.NewReplacer("/orders/{id}", "/orders/"+o.order, "/products/{id}", "/products/"+w.product,
			"/payments/{id}", "/payments/"+o.payment, "{code}", "TENTH").Replace(path)
		for name, body := range bombs("items") {
			for _, token := range []string{w.ada, w.dave, w.admin} {
				if a := w.ask(t, method, path, token, body, "Content-Type", "application/json"); a.status < 400 || a.status >= 500 {
					t.Errorf("%s with %s is answered %d %v", operation, name, a.status, a.body)
				}
			}
		}
	}
	for name, bomb := range bombs("data") {
		conn, _ := w.handshake(t, nil)
		k := &socket{Conn: conn, t: t, Conversation: w.sockets.Conversation()}
		if err := k.WriteMessage(websocket.TextMessage, []byte(`{"event":"register","data":`+bomb+`,"id":1}`)); err != nil {
			t.Fatal(err)
		}
		if text, err := k.next(); err == nil && !strings.Contains(text, `"error"`) {
			t.Errorf("over /ws %s is answered %s", name, text)
		}
	}
	for name, packet := range map[string]string{
		"attachments without end": `5999999999-["x",{"_placeholder":true,"num":0}]`, "a placeholder of none": `51-["x",{"_placeholder":true,"num":-1}]`,
		"a placeholder without packet": `2["join:order",{"_placeholder":true,"num":0}]`, "deep": `2["join:order",` + strings.Repeat("[", 30_000) + `]`,
		"an id that is too large": `2` + strings.Repeat("9", 400) + `["ping"]`, "a prototype": `2["__proto__",{"__proto__":{"role":"admin"}}]`,
	} {
		k, refusal := w.enter(t, "/", w.ada)
		if refusal != "" {
			t.Fatal(refusal)
		}
		if err := k.Send(t.Context(), packet); err != nil {
			t.Fatal(err)
		}
		if _, again := w.enter(t, "/admin", w.ada); again != "forbidden" {
			t.Errorf("after %s ada is let into /admin: %q", name, again)
		}
	}
	w.settle(t, w.must(t, 201, "POST", "/api/v1/orders", w.ada, orderOf(w.product)).seq())
}

// What is small on the way and large when it is unpacked is not unpacked.
func TestNothingIsDecompressed(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	for range 1000 {
		_, _ = writer.Write(bytes.Repeat([]byte(" "), 64<<10))
	}
	_ = writer.Close()
	body, err := json.Marshal(orderOf(s.product))
	if err != nil {
		t.Fatal(err)
	}
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip"} {
		if a := s.ask(t, "POST", "/api/v1/orders", s.ada, packed.String(), "Content-Encoding", encoding); a.status != 400 && a.status != 413 && a.status != 415 {
			t.Errorf("%s is answered %d", encoding, a.status)
		}
		refused(t, s.ask(t, "POST", "/api/v1/orders", s.ada, string(body), "Content-Encoding", encoding), 415, "unsupported_media_type")
	}
	for _, path := range []string{"/ws", "/socket.io/?EIO=4&transport=websocket"} {
		dialer := websocket.Dialer{EnableCompression: true}
		conn, response, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		_ = conn.Close()
		if got := response.Header.Get("Sec-WebSocket-Extensions"); got != "" {
			t.Errorf("%s agrees to %s", path, got)
		}
	}
	engine, err := enginetest.Dial(t.Context(), s.url, enginetest.Options{Path: "/socket.io/", Header: http.Header{"Content-Encoding": {"gzip"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Cut)
	if err := engine.Send(t.Context(), packed.String()); err == nil {
		if m, err := engine.Next(t.Context()); err == nil {
			t.Errorf("a packed payload of polling is answered %q", m.Data)
		}
	}
}

// Names that mean something to JavaScript mean nothing here, and go through as they are.
func TestOddNamesArePlainData(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	for _, name := range []string{"__proto__", "constructor", "<script>alert(1)</script>", "'; DROP TABLE events; --", "\u202eevil", "=1+1"} {
		a := s.must(t, 201, "POST", "/api/v1/products", s.admin, map[string]any{"name": name, "description": name, "price": 1, "currency": "EUR", "available": true})
		if got := s.must(t, 200, "GET", fmt.Sprintf("/api/v1/products/%s?min_seq=%d", a.body["id"], a.seq()), s.admin, nil).body["name"]; got != name {
			t.Errorf("%q became %q", name, got)
		}
		user := tokenFor(t, name, domain.RoleCustomer)
		if a := s.must(t, 200, "GET", "/api/v1/orders", user, nil); len(a.body["items"].([]any)) > 0 {
			t.Errorf("user %q has orders: %v", name, a.body)
		}
	}
	a := s.ask(t, "POST", "/api/v1/orders", s.ada, `{"items":[{"product":"`+s.product+`","quantity":1,"__proto__":{"price":0}}],"deliveryAddress":"x","paymentMethod":"cod","__proto__":{"totalAmount":0}}`)
	if a.status == 201 && a.body["totalAmount"] != 950.0 {
		t.Errorf("it costs %v", a.body["totalAmount"])
	}
}

// TestRequestsThatTwoServersReadInTwoWays: where a proxy in front may see the end of a request somewhere else than this server
// does, the connection ends with its answer, so that nothing behind it is taken for the next request; no line of a header
// becomes another; no path leads out.
func TestRequestsThatTwoServersReadInTwoWays(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	const smuggled = "GET /api/v1/products HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for _, path := range []string{"/health", "/api/v1/business", "/socket.io/?EIO=4&transport=polling", "/nowhere"} {
		for name, raw := range map[string]string{
			"both lengths":          "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			"both, the other first": "Transfer-Encoding: chunked\r\nContent-Length: 40\r\n\r\n0\r\n\r\n",
			"two lengths":           "Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
			"two codings":           "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
			"an odd coding":         "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
			"a space before colon":  "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
			"a length with a plus":  "Content-Length: +0\r\n\r\n",
			"a zero byte":           "X-A: \x00\r\n\r\n",
		} {
			if answers := s.raw(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\n"+raw+smuggled); len(answers) != 1 {
				t.Errorf("%s, %s: %d answers", path, name, len(answers))
			}
		}
	}
	for _, id := range []string{"a\rSet-Cookie: x=1", "00000000-0000-0000-0000-00000000000\t", "{00000000-0000-7000-8000-000000000000}", "urn:uuid:0190c0de-0000-7000-8000-00000000000f"} {
		for _, a := range s.raw(t, "GET /api/v1/business HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: "+id+"\r\n\r\n") {
			if got := a.header.Get("X-Request-Id"); got == id || a.header.Get("Set-Cookie") != "" {
				t.Errorf("the id %q comes back in %v", id, a.header)
			}
		}
	}
	for _, path := range []string{
		"/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/docs/../../etc/passwd", "/docs/..%2f..%2fetc%2fpasswd", "//etc/passwd", "/openapi.json/../../.orderlog/jwt-secret",
		"/api/v1/audit/orders/..%2f..%2f..%2fetc%2fpasswd", "/api/v1/products/%0d%0aSet-Cookie:x=1",
	} {
		for _, a := range s.raw(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "+s.admin+"\r\n\r\n") {
			location := a.header.Get("Location")
			if a.status < 300 || a.header.Get("Set-Cookie") != "" || strings.HasPrefix(location, "//") || strings.Contains(location, "://") {
				t.Errorf("%s is answered %d %v", path, a.status, a.header)
			}
		}
	}
}

// raw sends bytes and reads all answers until the server ends the connection, which it has to do.
func (s *server) raw(t *testing.T, request string) (answers []answer) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(reader, nil)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection goes on after %q", request)
		}
		if err != nil {
			return answers
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		answers = append(answers, answer{status: response.StatusCode, header: response.Header})
	}
}
