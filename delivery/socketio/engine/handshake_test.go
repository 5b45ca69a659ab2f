package engine_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
)

func TestWhatBreaksTheHandshakeIsRefusedWithItsCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *engine.Config) {
		c.AllowOrigin = func(r *http.Request) bool { return r.Header.Get("Origin") == "https://shop.example" }
	}, nil)
	for name, test := range map[string]struct {
		method, query, body string
		header              []string
		status, code        int
	}{
		"no transport":                     {"GET", "", "", nil, 400, 0},
		"an unknown transport":             {"GET", "&transport=abc", "", nil, 400, 0},
		"an unknown session":               {"GET", "&transport=polling&sid=abc", "", nil, 400, 1},
		"a payload for an unknown session": {"POST", "&transport=polling&sid=abc", "4x", nil, 400, 1},
		"a handshake by POST":              {"POST", "&transport=polling", "", nil, 400, 2},
		"a handshake by PUT":               {"PUT", "&transport=polling", "", nil, 400, 2},
		"a WebSocket without an upgrade":   {"GET", "&transport=websocket", "", nil, 400, 3},
		"a poll with a body":               {"GET", "&transport=polling", "x", nil, 400, 3},
		"an origin that may not":           {"GET", "&transport=polling", "", []string{"Origin", "https://evil.example"}, 403, 4},
		"two origins":                      {"GET", "&transport=polling", "", []string{"Origin", "https://shop.example", "Origin", "https://shop.example"}, 403, 4},
		"a preflight that may not":         {"OPTIONS", "&transport=polling", "", []string{"Origin", "https://evil.example"}, 403, 4},
		"an older protocol":                {"GET", "&EIO=3&transport=polling", "", nil, 200, 0}, // the first EIO counts
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := w.do(t.Context(), test.method, test.query, test.body, test.header...)
			if status != test.status {
				t.Fatalf("answered %d %s, want %d", status, body, test.status)
			}
			if status != http.StatusOK && codeOf(t, body) != test.code {
				t.Errorf("answered %s, want the code %d", body, test.code)
			}
		})
	}
}

func TestOtherVersionsOfTheProtocolAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	for _, version := range []string{"", "?EIO=3&transport=polling", "?EIO=abc&transport=polling", "?transport=polling"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", w.url+"/engine.io/"+version, nil)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%q was answered %d, want 400", version, answer.StatusCode)
		}
	}
}

func TestTheOpenPacketSaysWhatHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	status, body := w.do(t.Context(), "GET", "&transport=polling", "", "Authorization", "Bearer x", "X-Other", "y")
	if status != http.StatusOK || body[0] != '0' {
		t.Fatalf("answered %d %s", status, body)
	}
	var open map[string]any
	if err := json.Unmarshal([]byte(body[1:]), &open); err != nil {
		t.Fatal(err)
	}
	p := w.peer()
	if open["sid"] != p.session.ID() || len(p.session.ID()) != 22 {
		t.Errorf("the sid is %q, want %q of 22 characters", open["sid"], p.session.ID())
	}
	if open["pingInterval"] != 25000.0 || open["pingTimeout"] != 20000.0 || open["maxPayload"] != 65536.0 || len(open) != 5 {
		t.Errorf("the open packet is %v", open)
	}
	if h := p.session.Header(); h.Get("Authorization") != "Bearer x" || h.Get("X-Other") != "" || p.session.RemoteAddr() == "" {
		t.Errorf("kept of the handshake: %v from %q", h, p.session.RemoteAddr())
	}
	if p.session.Transport() != engine.Polling {
		t.Errorf("the transport is %q", p.session.Transport())
	}
}

func TestASessionThatIsNotAcceptedNeverWas(t *testing.T) {
	t.Parallel()
	var kept *engine.Session
	w := newWorld(t, func(c *engine.Config) {
		c.MaxSessions = 1
		c.Accept = func(_ *http.Request, s *engine.Session) (engine.Peer, error) {
			kept = s
			return nil, errors.New("not today")
		}
	}, nil)
	for range 3 {
		if status, body := w.do(t.Context(), "GET", "&transport=polling", ""); status != 503 || codeOf(t, body) != 3 {
			t.Fatalf("answered %d %s, want 503", status, body)
		}
	}
	kept.Close("whatever") // does nothing
	if stats := w.server.Stats(); stats.Opened != 0 || stats.Open[engine.Polling] != 0 || stats.Overloaded != 3 {
		t.Errorf("the numbers are %+v", stats)
	}
}

func TestThereAreNoMoreSessionsThanTheBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *engine.Config) { c.MaxSessions = 2 }, nil)
	first, p := w.dial(enginetest.Options{})
	w.dial(enginetest.Options{Transport: enginetest.WebSocket})
	for _, transport := range []string{enginetest.Polling, enginetest.WebSocket} {
		var refused *enginetest.RefusedError
		if _, err := enginetest.Dial(t.Context(), w.url, enginetest.Options{Transport: transport}); !errors.As(err, &refused) || refused.Status != 503 {
			t.Errorf("one more by %s: %v, want 503", transport, err)
		}
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	w.ended(p, engine.ReasonClient)
	w.dial(enginetest.Options{})
}

func TestASessionBelongsToItsOrigin(t *testing.T) {
	t.Parallel()
	const shop, other = "https://shop.example", "https://other.example"
	w := newWorld(t, func(c *engine.Config) { c.AllowOrigin = func(*http.Request) bool { return true } }, nil)
	for name, test := range map[string]struct {
		opened string
		then   []string // Origin and status, in turn
	}{
		"opened by a page of an origin":              {shop, []string{shop, "200", other, "403", "", "403", shop, "200"}},
		"opened by a page of the server, or no page": {"", []string{"", "200", shop, "200", "", "200", other, "403", shop, "200"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := func(origin string) []string {
				if origin == "" {
					return nil
				}
				return []string{"Origin", origin}
			}
			_, body := w.do(t.Context(), "GET", "&transport=polling", "", header(test.opened)...)
			var open struct{ SID string }
			if err := json.Unmarshal([]byte(body[1:]), &open); err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(test.then); i += 2 {
				status, body := w.do(t.Context(), "POST", "&transport=polling&sid="+open.SID, "4x", header(test.then[i])...)
				if want := map[string]int{"200": 200, "403": 403}[test.then[i+1]]; status != want {
					t.Errorf("request %d of %q was answered %d %s, want %d", i/2, test.then[i], status, body, want)
				}
			}
		})
	}
}

func TestBrowsersMayReadTheAnswersToOriginsThatMayConnect(t *testing.T) {
	t.Parallel()
	const shop = "https://shop.example"
	w := newWorld(t, func(c *engine.Config) {
		c.AllowOrigin = func(r *http.Request) bool { return r.Header.Get("Origin") == shop }
	}, nil)
	for _, method := range []string{"GET", "OPTIONS", "PUT"} {
		r, err := http.NewRequestWithContext(t.Context(), method, w.url+"/?EIO=4&transport=polling", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", shop)
		r.Header.Set("Access-Control-Request-Headers", "authorization")
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		h := answer.Header
		if h.Get("Access-Control-Allow-Origin") != shop || h.Get("Access-Control-Allow-Credentials") != "true" || h.Get("Vary") == "" {
			t.Errorf("%s was answered %v", method, h)
		}
		if method == "OPTIONS" && (answer.StatusCode != 204 || h.Get("Access-Control-Allow-Headers") != "authorization") {
			t.Errorf("a preflight was answered %d %v", answer.StatusCode, h)
		}
	}
}
