package rest

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/internal/proxies"
)

func TestTheDocsPageBringsEverythingAlong(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t, func(c *Config) { c.AsyncAPI = []byte(`{"asyncapi":"3.0.0"}`) })
	got := ask(t, h, "GET", "/docs", "")
	if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
		t.Fatalf("got %d %v", got.status, got.header)
	}
	for _, wanted := range []string{`"swaggerJsonUrl":"/openapi.json"`, `href="/openapi.json"`, `href="/asyncapi.json"`} {
		if !strings.Contains(got.text, wanted) {
			t.Errorf("%s is not in the page", wanted)
		}
	}

	loaded := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(got.text, -1)
	if len(loaded) < 5 {
		t.Fatalf("only %d things are loaded: the test looks for the wrong thing", len(loaded))
	}
	for _, l := range loaded {
		if !strings.HasPrefix(l[1], "/") || strings.HasPrefix(l[1], "//") {
			t.Errorf("%s is loaded from elsewhere", l[1])
		} else if asset := ask(t, h, "GET", l[1], ""); asset.status != 200 || asset.text == "" {
			t.Errorf("%s: got %d with %d bytes", l[1], asset.status, len(asset.text))
		}
	}
	for _, l := range regexp.MustCompile(`url\(["']?([^)]{0,30})`).FindAllStringSubmatch(ask(t, h, "GET", "/docs/swagger-ui.css", "").text, -1) {
		if !strings.HasPrefix(l[1], "data:") {
			t.Errorf("the style sheet loads %s", l[1])
		}
	}
	refused(t, ask(t, h, "GET", "/docs/nothing.js", ""), 404, "not_found")
}

// Even if a script in the page wanted to, the browser would let it load and ask nothing from elsewhere.
func TestThePolicyOfTheDocsPage(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	got := ask(t, h, "GET", "/docs", "")
	policy := got.header.Get("Content-Security-Policy")
	directives := map[string][]string{}
	for directive := range strings.SplitSeq(policy, ";") {
		words := strings.Fields(directive)
		directives[words[0]] = words[1:]
	}
	for _, name := range []string{"default-src", "base-uri", "form-action", "frame-ancestors"} {
		if d := directives[name]; len(d) != 1 || d[0] != "'none'" {
			t.Errorf("%s is %v", name, d)
		}
	}
	for name, sources := range directives {
		for _, source := range sources {
			harmless := source == "'none'" || source == "'self'" || strings.HasPrefix(source, "'sha256-") ||
				(source == "data:" && name == "img-src") || (source == "'unsafe-inline'" && name == "style-src")
			if !harmless {
				t.Errorf("%s allows %s", name, source)
			}
		}
	}
	// Each script in the page has its hash, so that none can be added to it.
	scripts := inlineScript.FindAllString(got.text, -1)
	if hashes := strings.Count(policy, "'sha256-"); len(scripts) == 0 || hashes != len(scripts) {
		t.Errorf("%d hashes for %d scripts", hashes, len(scripts))
	}
	if all := strings.Count(got.text, "<script"); all != len(scripts)+strings.Count(got.text, "<script src=") {
		t.Errorf("%d scripts, and some of them are written in another way", all)
	}
	if strings.Contains(got.text, "/asyncapi.json") {
		t.Error("links to a document that is not there")
	}
	refused(t, ask(t, h, "GET", "/asyncapi.json", ""), 404, "not_found")
	refused(t, ask(t, h, "GET", "/metrics", ""), 404, "not_found")
}

func TestDocumentsAndMetricsOfOthers(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t, func(c *Config) {
		c.AsyncAPI = []byte(`{"asyncapi":"3.0.0"}`)
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("orderlog_up 1\n")) })
	})
	if got := ask(t, h, "GET", "/asyncapi.json", ""); got.status != 200 || got.text != `{"asyncapi":"3.0.0"}` || !strings.Contains(got.header.Get("Content-Type"), "asyncapi+json") {
		t.Errorf("got %d %v %s", got.status, got.header, got.text)
	}
	if got := ask(t, h, "GET", "/metrics", ""); got.status != 200 || got.text != "orderlog_up 1\n" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got %d %v %s", got.status, got.header, got.text)
	}
}

func TestStrictTransportSecurity(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t, func(c *Config) {
		var err error
		if c.TrustedProxies, err = proxies.Parse("10.0.0.0/8"); err != nil {
			t.Error(err)
		}
	})
	for name, tc := range map[string]struct {
		address string
		headers []string
		want    string
	}{
		"over an open way":                  {"192.0.2.7", nil, ""},
		"a client that says it is not open": {"192.0.2.7", []string{"X-Forwarded-Proto: https"}, ""},
		"a proxy that says it is not open":  {"10.0.0.1", []string{"X-Forwarded-Proto: https"}, "max-age=31536000"},
		"a proxy that says it is":           {"10.0.0.1", []string{"X-Forwarded-Proto: http"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/health", "/docs", prefix + "/feed"} {
				if got := askFrom(t, h, tc.address, "GET", path, "", tc.headers...).header.Get("Strict-Transport-Security"); got != tc.want {
					t.Errorf("%s: %q, want %q", path, got, tc.want)
				}
			}
		})
	}
}

func TestEveryRequestIsObserved(t *testing.T) {
	t.Parallel()
	var seen []Observation
	w := newWorld()
	h := w.handler(t, limited(-1, 6), func(c *Config) { c.Observe = func(o Observation) { seen = append(seen, o) } })
	order := prefix + "/orders/" + orderID.String()
	for _, tc := range []struct {
		method, path, token string
		want                Observation
	}{
		{"GET", order + "?min_seq=1", "asha", Observation{Method: "GET", Route: prefix + "/orders/{id}", Status: 200}},
		{"GET", order, "", Observation{Method: "GET", Route: prefix + "/orders/{id}", Status: 401}},
		{"HEAD", "/health", "", Observation{Method: "HEAD", Route: "/health", Status: 200}},
		{"GET", "/no/such/thing", "", Observation{Method: "GET", Route: "none", Status: 404}},
		{"PUT", order, "asha", Observation{Method: "PUT", Route: "none", Status: 405}},
		{"BREW", "/pot", "", Observation{Method: "other", Route: "none", Status: 404}},
		{"GET", "/docs/swagger-ui.css", "", Observation{Method: "GET", Route: "/docs/{file}", Status: 200}},
		{"GET", prefix + "/business", "", Observation{Method: "GET", Route: prefix + "/business", Status: 429}},
	} {
		seen = nil
		ask(t, h, tc.method, tc.path, tc.token)
		if len(seen) != 1 || seen[0].Duration <= 0 {
			t.Fatalf("%s %s: %+v", tc.method, tc.path, seen)
		}
		seen[0].Duration = 0
		if seen[0] != tc.want {
			t.Errorf("%s %s: got %+v, want %+v", tc.method, tc.path, seen[0], tc.want)
		}
	}
	w.panics, seen = true, nil
	ask(t, h, "POST", "/health", "") // the address may ask no more, but for this path, which has no POST
	if len(seen) != 1 || seen[0].Status != 405 {
		t.Errorf("got %+v", seen)
	}
}
