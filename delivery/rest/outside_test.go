package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	got := ask(t, newWorld().handler(t), "GET", "/health", "")
	if got.status != 200 || strings.TrimSpace(got.text) != `{"status":"ok"}` {
		t.Fatalf("got %d %s", got.status, got.text)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	parts := []Component{{Name: "database", Ready: true}, {Name: "views", Ready: false, Detail: "400 events behind"}}
	for name, tc := range map[string]struct {
		ready  Readiness
		err    error
		status int
		says   string
	}{
		"ready":            {Readiness{Ready: true, Components: parts[:1]}, nil, 200, `{"status":"ready","components":[{"name":"database","ready":true}]}`},
		"a part is not":    {Readiness{Components: parts}, nil, 503, `{"name":"views","ready":false,"detail":"400 events behind"}`},
		"cannot be told":   {Readiness{Ready: true}, errSecret, 503, `{"status":"not_ready","components":[]}`},
		"nothing to speak": {Readiness{Ready: true}, nil, 200, `"components":[]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.ready, w.readyErr = tc.ready, tc.err
			got := ask(t, w.handler(t), "GET", "/ready", "")
			if got.status != tc.status || !strings.Contains(got.text, tc.says) || strings.Contains(got.text, "hunter2") {
				t.Errorf("got %d %s", got.status, got.text)
			}
		})
	}
}

func TestTheDescription(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t, func(c *Config) { c.Version = "1.2.3" })
	got := ask(t, h, "GET", "/openapi.json", "")
	var spec struct {
		OpenAPI string
		Info    struct{ Version string }
		Paths   map[string]map[string]struct {
			OperationID, Summary string
			Tags                 []string
			Security             []map[string][]string
			Responses            map[string]struct{ Content map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(got.text), &spec); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(spec.OpenAPI, "3.1") || spec.Info.Version != "1.2.3" {
		t.Errorf("openapi %s, version %s", spec.OpenAPI, spec.Info.Version)
	}
	for path, methods := range spec.Paths {
		if !strings.HasPrefix(path, prefix) {
			continue
		}
		for method, op := range methods {
			if op.Summary == "" || op.OperationID == "" || len(op.Tags) != 1 {
				t.Errorf("%s %s is not described", method, path)
			}
			if _, ok := op.Responses["default"].Content["application/problem+json"]; !ok {
				t.Errorf("%s %s: refusals are not described", method, path)
			}
			public := method == "get" && (strings.HasPrefix(path, prefix+"/business") || strings.HasPrefix(path, prefix+"/products") ||
				strings.HasPrefix(path, prefix+"/offers"))
			if (len(op.Security) == 0) != public {
				t.Errorf("%s %s: security %v", method, path, op.Security)
			}
			if _, ok := op.Responses["422"]; ok {
				t.Errorf("%s %s promises a 422 it does not give", method, path)
			}
		}
	}
	if hook := spec.Paths[webhookPath]["post"]; len(hook.Security) != 1 || hook.Security[0]["signature"] == nil {
		t.Errorf("the webhook's security: %v", hook.Security)
	}
	if yaml := ask(t, h, "GET", "/openapi.yaml", ""); yaml.status != 200 || !strings.Contains(yaml.text, "/api/v1/orders/{id}/cancel:") {
		t.Errorf("as YAML: %d", yaml.status)
	}
}

func TestBrowsers(t *testing.T) {
	t.Parallel()
	const ours, theirs = "Origin: https://shop.example", "Origin: https://evil.example"
	ask4 := "Access-Control-Request-Method: POST"
	one, every := newWorld(), newWorld()
	h := one.handler(t)
	open := every.handler(t, func(c *Config) { c.Origins = []string{"*"} })

	got := ask(t, h, "GET", prefix+"/business", "", ours)
	if got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != "https://shop.example" || !strings.Contains(got.header.Get("Vary"), "Origin") {
		t.Errorf("our origin: %d %v", got.status, got.header)
	}
	for _, exposed := range []string{"X-Seq", "Idempotent-Replayed", "Retry-After", "Location", "X-Request-Id"} {
		if !strings.Contains(got.header.Get("Access-Control-Expose-Headers"), exposed) {
			t.Errorf("%s is not exposed", exposed)
		}
	}
	if got := ask(t, h, "GET", prefix+"/business", "", theirs); got.header.Get("Access-Control-Allow-Origin") != "" || got.header.Get("Vary") != "Origin" {
		t.Errorf("another origin: %v", got.header)
	}
	if got := ask(t, h, "GET", prefix+"/feed", "", ours); got.status != 401 || got.header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("a script cannot read the refusal: %d %v", got.status, got.header)
	}

	got = ask(t, h, "OPTIONS", prefix+"/orders", "", ours, ask4, "Access-Control-Request-Headers: authorization, idempotency-key")
	if got.status != 204 || got.header.Get("Access-Control-Allow-Origin") == "" || got.text != "" {
		t.Errorf("preflight: %d %v", got.status, got.header)
	}
	for _, method := range []string{"GET", "POST", "PATCH", "DELETE"} {
		if !strings.Contains(got.header.Get("Access-Control-Allow-Methods"), method) {
			t.Errorf("%s is not allowed", method)
		}
	}
	for _, header := range []string{"Authorization", "Content-Type", "Idempotency-Key", "X-Min-Seq"} {
		if !strings.Contains(got.header.Get("Access-Control-Allow-Headers"), header) {
			t.Errorf("%s is not allowed", header)
		}
	}
	got = ask(t, h, "OPTIONS", prefix+"/orders", "", theirs, ask4)
	refused(t, got, 403, "forbidden")
	if got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another origin is let in")
	}
	refused(t, ask(t, h, "OPTIONS", prefix+"/orders", ""), 405, "method_not_allowed")

	if got := ask(t, open, "GET", prefix+"/business", "", theirs); got.header.Get("Access-Control-Allow-Origin") != "*" || got.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("every origin: %v", got.header)
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	for _, path := range []string{"/health", "/nothing", prefix + "/business", prefix + "/feed", "/docs", "/openapi.json"} {
		got := ask(t, h, "GET", path, "")
		if got.header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(got.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
			got.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", path, got.header)
		}
	}
	for token, want := range map[string]string{"": "no-cache", "asha": "no-store", "forged": "no-store"} {
		if got := ask(t, h, "GET", prefix+"/business", token).header.Get("Cache-Control"); got != want {
			t.Errorf("token %q: Cache-Control %q, want %q", token, got, want)
		}
	}
}

func TestWhatIsMissingIsNoticedAtTheStart(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil {
		t.Fatal("started with nothing")
	}
}

func TestAClientThatLeavesIsNotAnAlarm(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.block = true
	h := w.handler(t)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, prefix+"/business", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	h.ServeHTTP(&discard{header: http.Header{}}, r)
	if strings.Contains(w.log.String(), "level=ERROR") {
		t.Errorf("log: %s", w.log.String())
	}
}
