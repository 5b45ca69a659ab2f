package rest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// target is an operation and who may ask for it; {} stands for what a client puts into its path.
type target struct{ method, path, token, body string }

// changing are all operations that change something.
var changing = []target{
	{"PATCH", "/business/status", "admin", `{"isOpen":true,"message":"Come in"}`},
	{"POST", "/products", "admin", `{"name":"Dosa","description":"Crisp","price":450,"currency":"INR","available":true}`},
	{"PATCH", "/products/{}", "admin", `{"price":500,"available":false}`},
	{"DELETE", "/products/{}", "admin", ""},
	{"POST", "/orders", "asha", place},
	{"PATCH", "/orders/{}/status", "admin", `{"status":"confirmed","message":"Soon"}`},
	{"POST", "/orders/{}/cancel", "asha", `{"reason":"hunger is gone"}`},
	{"POST", "/orders/{}/assign", "admin", `{"agentId":"ravi"}`},
	{"POST", "/orders/{}/payments", "asha", `{"method":"card"}`},
	{"POST", "/payments/webhook", "", captured},
	{"POST", "/payments/{}/collect", "ravi", ""},
	{"POST", "/payments/{}/refund", "admin", `{"amount":100,"reason":"cold"}`},
	{"PATCH", "/delivery/status", "ravi", `{"status":"online"}`},
	{"POST", "/delivery/location", "ravi", here},
	{"POST", "/offers", "admin", half},
	{"PATCH", "/offers/{}", "admin", `{"description":"More off","endsAt":"2026-12-31T23:59:59Z"}`},
	{"DELETE", "/offers/{}", "admin", ""},
	{"POST", "/offers/{}/check", "asha", basket},
	{"PATCH", "/notifications/{}/read", "asha", ""},
	{"POST", "/notifications/read-all", "asha", ""},
	{"POST", "/notifications", "admin", news},
	{"POST", "/events/ticket", "asha", ""},
}

// reading are all operations that read.
var reading = []target{
	{"GET", "/business", "asha", ""},
	{"GET", "/products", "asha", "limit=200&cursor=MQ&min_seq=1"},
	{"GET", "/products/{}", "asha", ""},
	{"GET", "/orders", "admin", "status=placed,ready&customer=asha&agent=ravi&from=2026-01-01T00:00:00Z&to=2026-12-31T00:00:00%2B01:00&limit=1"},
	{"GET", "/orders/{}", "admin", "min_seq=1"},
	{"GET", "/orders/{}/payments", "asha", ""},
	{"GET", "/payments/{}", "admin", ""},
	{"GET", "/delivery/agents", "admin", "limit=10"},
	{"GET", "/delivery/agents/{}", "admin", ""},
	{"GET", "/delivery/orders/{}/track", "ravi", "limit=10&cursor=MQ"},
	{"GET", "/offers", "asha", "limit=10"},
	{"GET", "/offers/{}", "asha", ""},
	{"GET", "/notifications", "asha", "unread=true"},
	{"GET", "/feed", "asha", "lastSeq=3&limit=10"},
	{"GET", "/audit/orders/{}", "admin", "limit=10&cursor=3&changes=true"},
	{"GET", "/audit/orders/{}/state", "admin", "at=2026-03-01T12:00:00Z"},
	{"GET", "/audit/events", "admin", "after=1&to=9&type=order.placed&type=order.cancelled&stream=order/0190c0de-0000-7000-8000-000000000001&actor=ada&since=2026-01-01T00:00:00Z"},
	{"GET", "/audit/verify", "admin", ""},
	{"GET", "/audit/checkpoint", "admin", "since=1"},
	{"GET", "/audit/events/{}/proof", "admin", ""},
	{"GET", "/socket/status", "admin", ""},
	{"GET", "/metrics/socket", "admin", ""},
}

// request is what a server reads of the wire: its path may be anything that can be escaped.
func (o target) request(t *testing.T, id, query string, body []byte) *http.Request {
	t.Helper()
	before, after, _ := strings.Cut(prefix+o.path, "{}")
	r := httptest.NewRequestWithContext(t.Context(), o.method, "/", bytes.NewReader(body))
	r.URL = &url.URL{Path: before + after, RawQuery: query}
	if strings.Contains(o.path, "{}") {
		r.URL.Path, r.URL.RawPath = before+id+after, before+url.PathEscape(id)+after
	}
	if o.token != "" {
		r.Header.Set("Authorization", "Bearer "+o.token)
	}
	return r
}

// held holds an answer to what every one must be, and returns the code of a refusal.
func held(t *testing.T, r *http.Request, w *httptest.ResponseRecorder) (code string) {
	t.Helper()
	for name, values := range w.Header() {
		for _, v := range append(values, name) {
			if !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
				t.Errorf("the header %s is %q", name, values)
			}
		}
	}
	if w.Code >= 300 && w.Code < 400 { // to a path that is written otherwise
		return "redirect"
	}
	where := r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		where += "?" + r.URL.RawQuery
	}
	if err := described(t).Check(r.Method, where, w.Code, w.Header(), w.Body.Bytes()); err != nil {
		t.Errorf("%s %s: %v", r.Method, where, err)
	}
	if w.Code < 400 {
		return ""
	}
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || p.Detail == "" || p.Status != w.Code {
		t.Fatalf("refused without a reason: %d %s", w.Code, w.Body)
	}
	if w.Code >= 500 && p.Code != "projection_behind" {
		t.Fatalf("%s %s: %d %s", r.Method, where, w.Code, w.Body)
	}
	return string(p.Code)
}

// Whatever is sent to a command, it is carried out once, under the ids that were sent, or it is refused with a reason
// and nothing is asked for.
func FuzzACommandIsCarriedOutOrRefusedWithAReason(f *testing.F) {
	for i, o := range changing {
		for _, id := range []string{orderID.String(), productID.String(), cashID.String(), entryID.String(), "HALF", "half", "..", "a/b", "\x00", "%2e", "\xff", ""} {
			f.Add(uint8(i), id, []byte(o.body), "a-key", uuid.NewString())
		}
		for _, spoilt := range []string{
			strings.Replace(o.body, ":", ":null,", 1), strings.Replace(o.body, "{", `{"a":1,"A":2,`, 1), o.body + "{}", strings.ReplaceAll(o.body, "0", "1e400"),
			strings.Replace(o.body, ":true", `:"true"`, 1), strings.ReplaceAll(o.body, "e", `\u0000`), strings.ReplaceAll(o.body, "a", `\ud83c`), "\ufeff" + o.body,
		} {
			f.Add(uint8(i), cardID.String(), []byte(spoilt), "", "not an id")
		}
	}
	f.Add(uint8(4), "", []byte(place), strings.Repeat("k", 256), strings.ToUpper(uuid.NewString()))
	f.Add(uint8(4), "", []byte(place), "two words", "{"+uuid.NewString()+"}")
	f.Add(uint8(4), "", []byte(place), "a\r\nX-Evil: 1", "a\r\nX-Evil: 1")
	world := newWorld()
	h := world.handler(f, func(c *Config) { c.UserLimit, c.AddressLimit = -1, -1 })
	f.Fuzz(func(t *testing.T, which uint8, id string, body []byte, key, requestID string) {
		o := changing[int(which)%len(changing)]
		world.log.Reset()
		world.cmds, world.requests = nil, nil
		r := o.request(t, id, "", body)
		r.Header["Idempotency-Key"], r.Header["X-Request-Id"] = []string{key}, []string{requestID}
		if key == "" {
			delete(r.Header, "Idempotency-Key")
		}
		if o.path == "/payments/webhook" {
			r.Header.Set("X-Signature", strings.TrimPrefix(signature(webhookSecret, string(body)), "X-Signature: "))
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		code := held(t, r, w)
		if code != "" {
			if len(world.cmds) > 0 {
				t.Fatalf("refused with %s, and asked for %+v", code, world.cmds)
			}
			if code == "redirect" {
				return
			}
		} else if len(world.cmds) != 1 && o.path != "/events/ticket" && o.path != "/offers/{}/check" {
			t.Fatalf("%s %s answers %s, and asked for %+v", o.method, r.URL.Path, w.Body, world.cmds)
		}
		told, err := uuid.Parse(w.Header().Get("X-Request-Id"))
		if given, wrong := uuid.Parse(requestID); err != nil || wrong == nil && len(requestID) == 36 && given != told {
			t.Fatalf("the request %q is called %q", requestID, w.Header().Get("X-Request-Id"))
		}
		for _, req := range world.requests {
			if o.path != "/offers/{}/check" && (req.CorrelationID != told.String() || o.token != "" && req.Key != key) {
				t.Fatalf("the request %s with the key %q became %+v", told, key, req)
			}
		}
		for line := range strings.Lines(world.log.String()) {
			if !strings.HasPrefix(line, "time=") {
				t.Fatalf("a line of the log is not its own: %q", world.log.String())
			}
		}
	})
}

// Whatever is asked of a list, it is answered by its description, in pages that are not too long, or refused with a
// reason; and what is refused is not looked up.
func FuzzAQuestionIsAnsweredOrRefusedWithAReason(f *testing.F) {
	for i, o := range reading {
		for _, id := range []string{orderID.String(), productID.String(), cashID.String(), "HALF", "ravi", "7", "-1", "..", "a b", "\xff"} {
			f.Add(uint8(i), id, o.body, "application/json")
		}
		for _, query := range []string{
			"limit=0", "limit=201", "limit=1&limit=2", "cursor=%00", "cursor=-1", "min_seq=99999999999999999999", "min_seq=43", "a=%zz", "a=1;b=2", "=", "&&", "x",
			"from=2026-01-01T00:00:00+01:00", "at=0001-01-01T00:00:00Z", "at=2026-01-01T00:00:00Z&seq=1", "lastSeq=-1", "status=,", "stream='--", "type=order.%25", "since=now",
		} {
			f.Add(uint8(i), orderID.String(), query, "application/x-ndjson, */*;q=0.1")
		}
	}
	f.Add(uint8(16), "", "", "application/x-ndjson;q=1e400,application/*;q=-0,application/json;q=nan")
	world := newWorld()
	h := world.handler(f, func(c *Config) { c.UserLimit, c.AddressLimit, c.MinSeqWait = -1, -1, time.Nanosecond })
	f.Fuzz(func(t *testing.T, which uint8, id, query, accept string) {
		o := reading[int(which)%len(reading)]
		if _, err := url.ParseRequestURI("/?" + query); err != nil {
			return // the server does not hand it on
		}
		world.log.Reset()
		world.queries, world.walks, world.waited, world.proved, world.channels = nil, nil, nil, nil, nil
		r := o.request(t, id, query, nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if held(t, r, w) == "invalid_request" && len(world.walks) > 0 {
			t.Fatalf("%s?%s is refused, and was looked up: %+v", o.path, query, world.walks)
		}
		for _, q := range world.queries {
			v := reflect.ValueOf(q)
			if v.Kind() != reflect.Struct {
				continue
			}
			if limit := v.FieldByName("Limit"); limit.IsValid() && (limit.Int() < 0 || limit.Int() > 200) {
				t.Fatalf("%s?%s asks for %+v", o.path, query, q)
			}
		}
	})
}

// Whatever a stranger sends, the provider's events are taken only with the signature of the very bytes that came.
func FuzzAnEventOfTheProviderIsTakenOnlyWithItsSignature(f *testing.F) {
	good := strings.TrimPrefix(signature(webhookSecret, captured), "X-Signature: ")
	for _, header := range []string{good, strings.ToUpper(good), strings.TrimPrefix(good, "sha256="), good + "00", good[:len(good)-2], "sha256=", "", "sha1=00", good + " ", "sha256=zz"} {
		f.Add([]byte(captured), header)
		f.Add([]byte(captured+" "), header)
	}
	world := newWorld()
	h := world.handler(f, func(c *Config) { c.UserLimit, c.AddressLimit = -1, -1 })
	f.Fuzz(func(t *testing.T, body []byte, header string) {
		world.log.Reset()
		world.cmds, world.requests = nil, nil
		r := target{method: "POST", path: "/payments/webhook"}.request(t, "", "", body)
		r.Header.Set("X-Signature", header)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		code := held(t, r, w)
		mac := hmac.New(sha256.New, []byte(webhookSecret))
		_, _ = mac.Write(body)
		signed := strings.HasPrefix(header, "sha256=") && strings.EqualFold(header[7:], hex.EncodeToString(mac.Sum(nil)))
		switch {
		case !signed && len(body) <= maxBodyBytes && code != "invalid_signature":
			t.Fatalf("%q with %q: %d %s", body, header, w.Code, w.Body)
		case !signed && len(world.cmds) > 0:
			t.Fatalf("%q with %q asked for %+v", body, header, world.cmds)
		case signed && code == "invalid_signature":
			t.Fatalf("%q is refused with its signature", body)
		}
	})
}

// Whatever body is let through, no name in it is there twice for any reader, and it is not nested without end.
func FuzzNoNameIsTwiceInABody(f *testing.F) {
	for _, body := range []string{
		`{"a":1,"b":{"a":2}}`, `{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"k":1,"\u212a":2}`, `{"s":1,"\u017f":2}`, `{"\u0061":1,"a":2}`, `[{"a":1},{"a":2}]`, `{"\ud800":1}`,
		strings.Repeat("[", 33) + strings.Repeat("]", 33), `{"a":"\ufffd"}`, "{\"a\":\"\xff\"}", `{"i":1,"\u0130":2,"\u0131":3}`, `{"ǅ":1,"ǆ":2}`, `{`, `{"a":1}{"a":1}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var v any
		if checkNames(body) != nil || json.Unmarshal(body, &v) != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader(body))
		if names, depth := walk(t, v, 0); names != namesIn(t, d) || depth > maxNesting {
			t.Fatalf("%q has a name twice, or is %d deep", body, depth)
		}
	})
}

// walk counts the names of what was decoded, of which no two may be the same in whatever case.
func walk(t *testing.T, v any, above int) (names, depth int) {
	t.Helper()
	depth = above
	each := func(v any) {
		n, d := walk(t, v, above+1)
		names, depth = names+n, max(depth, d)
	}
	switch v := v.(type) {
	case []any:
		depth++
		for _, one := range v {
			each(one)
		}
	case map[string]any:
		depth++
		for name, one := range v {
			names++
			each(one)
			for other := range v {
				if name != other && strings.EqualFold(name, other) {
					t.Fatalf("%q and %q are one name to the decoder", name, other)
				}
			}
		}
	}
	return names, depth
}

// namesIn counts the names as they are written.
func namesIn(t *testing.T, d *json.Decoder) (names int) {
	t.Helper()
	token, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	delimiter, ok := token.(json.Delim)
	if !ok {
		return 0
	}
	for d.More() {
		if delimiter == '{' {
			if _, err := d.Token(); err != nil {
				t.Fatal(err)
			}
			names++
		}
		names += namesIn(t, d)
	}
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	return names
}
