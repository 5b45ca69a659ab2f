package rest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRequestsThatAreNotValid(t *testing.T) {
	t.Parallel()
	orders, products := prefix+"/orders", prefix+"/products"
	one := products + "/" + productID.String()
	for name, tc := range map[string]struct {
		method, path, token string
		more                []string
		location            string // of the first fault
	}{
		"broken JSON":                   {"POST", orders, "asha", []string{`{"items":`}, "body"},
		"something after the JSON":      {"POST", orders, "asha", []string{place + "{}"}, "body"},
		"no body":                       {"POST", orders, "asha", nil, ""},
		"not an object":                 {"POST", orders, "asha", []string{`[]`}, "body"},
		"a field in other letters":      {"PATCH", prefix + "/business/status", "admin", []string{`{"IsOpen":true}`}, "body"},
		"a missing field":               {"POST", orders, "asha", []string{strings.Replace(place, `"deliveryAddress":"12 Hill Rd",`, "", 1)}, "body"},
		"a product that is no UUID":     {"POST", orders, "asha", []string{strings.Replace(place, productID.String(), "dosa", 1)}, "body.items[0].product"},
		"no items":                      {"POST", orders, "asha", []string{`{"items":[],"deliveryAddress":"x","paymentMethod":"cod"}`}, "body.items"},
		"items that are null":           {"POST", orders, "asha", []string{`{"items":null,"deliveryAddress":"x","paymentMethod":"cod"}`}, "body.items"},
		"a quantity of 0":               {"POST", orders, "asha", []string{strings.Replace(place, ":2}", ":0}", 1)}, "body.items[0].quantity"},
		"half a thing":                  {"POST", orders, "asha", []string{strings.Replace(place, ":2}", ":1.5}", 1)}, "body.items[0].quantity"},
		"an unknown payment method":     {"POST", orders, "asha", []string{strings.Replace(place, "cod", "gold", 1)}, "body.paymentMethod"},
		"a number as text":              {"PATCH", one, "admin", []string{`{"price":"90"}`}, "body.price"},
		"a number that fits nowhere":    {"PATCH", one, "admin", []string{`{"price":1e30}`}, "body.price"},
		"a body that is no UTF-8":       {"PATCH", one, "admin", []string{"{\"name\":\"\xff\"}"}, "body"},
		"an id that is no UUID":         {"GET", orders + "/7", "asha", nil, "path.id"},
		"an unknown status":             {"PATCH", orders + "/" + orderID.String() + "/status", "admin", []string{`{"status":"eaten"}`}, "body.status"},
		"a filter by an unknown status": {"GET", orders + "?status=eaten", "admin", nil, "query.status"},
		"a filter with a zero byte":     {"GET", orders + "?customer=a%00b", "admin", nil, "query.customer"},
		"a time that is none":           {"GET", orders + "?from=yesterday", "admin", nil, "query.from"},
		"from after to":                 {"GET", orders + "?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "admin", nil, "query.from"},
		"a limit of 0":                  {"GET", orders + "?limit=0", "admin", nil, "query.limit"},
		"a limit of 201":                {"GET", products + "?limit=201", "", nil, "query.limit"},
		"a limit that is no number":     {"GET", prefix + "/feed?limit=x", "asha", nil, "query.limit"},
		"a negative lastSeq":            {"GET", prefix + "/feed?lastSeq=-1", "asha", nil, "query.lastSeq"},
		"a lastSeq that is no number":   {"GET", prefix + "/feed?lastSeq=1.5", "asha", nil, "query.lastSeq"},
		"a negative min_seq":            {"GET", prefix + "/business?min_seq=-1", "", nil, "query.min_seq"},
		"a min_seq that is no number":   {"GET", prefix + "/business", "", []string{"X-Min-Seq: soon"}, "header.X-Min-Seq"},
		"an empty idempotency key":      {"POST", orders, "asha", []string{place, "Idempotency-Key: "}, "header.Idempotency-Key"},
		"a key of 256 characters":       {"POST", orders, "asha", []string{place, "Idempotency-Key: " + strings.Repeat("k", 256)}, "header.Idempotency-Key"},
		"a key with a space":            {"POST", orders, "asha", []string{place, "Idempotency-Key: a b"}, "header.Idempotency-Key"},
		"a key that is not ASCII":       {"POST", orders, "asha", []string{place, "Idempotency-Key: schlüssel"}, "header.Idempotency-Key"},
		"two keys":                      {"POST", orders, "asha", []string{place, "Idempotency-Key: a", "Idempotency-Key: b"}, "header.Idempotency-Key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			got := ask(t, w.handler(t), tc.method, tc.path, tc.token, tc.more...)
			refused(t, got, 400, "invalid_request")
			if got.body["detail"] == "" {
				t.Error("says nothing")
			}
			faultAt(t, got, tc.location)
			for _, inside := range []string{"Go ", "struct", "rest.", `"value"`} {
				if strings.Contains(got.text, inside) {
					t.Errorf("shows the program's inside: %s", got.text)
				}
			}
			if len(w.cmds)+len(w.queries) > 0 {
				t.Error("went on all the same")
			}
		})
	}
}

func TestRightsComeBeforeTheForm(t *testing.T) {
	t.Parallel()
	refused(t, ask(t, newWorld().handler(t), "POST", prefix+"/products", "asha", `{"broken":`), 403, "forbidden")
	refused(t, ask(t, newWorld().handler(t), "POST", prefix+"/products", "", `{"broken":`), 401, "unauthenticated")
	form := "Content-Type: text/plain"
	refused(t, ask(t, newWorld().handler(t), "POST", prefix+"/products", "", `{}`, form), 401, "unauthenticated")
	refused(t, ask(t, newWorld().handler(t), "POST", prefix+"/products", "asha", "{\"\xff\"", form), 403, "forbidden")
	refused(t, ask(t, newWorld().handler(t), "POST", prefix+"/products", "admin", `{}`, form), 415, "unsupported_media_type")
}

func TestBodies(t *testing.T) {
	t.Parallel()
	pad := func(n int) string { return place + strings.Repeat(" ", n-len(place)) }
	for name, tc := range map[string]struct {
		more   []string
		status int
		code   string
	}{
		"64 KiB":                 {[]string{pad(64 << 10)}, 201, ""},
		"one byte more":          {[]string{pad(64<<10 + 1)}, 413, "message_too_large"},
		"JSON with its charset":  {[]string{place, "Content-Type: application/json; charset=utf-8"}, 201, ""},
		"JSON by another name":   {[]string{place, "Content-Type: application/vnd.shop+json"}, 201, ""},
		"a form":                 {[]string{place, "Content-Type: application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		"a type that is none":    {[]string{place, "Content-Type: ;"}, 415, "unsupported_media_type"},
		"compressed":             {[]string{place, "Content-Encoding: gzip"}, 415, "unsupported_media_type"},
		"an Accept for anything": {[]string{place, "Accept: text/html"}, 201, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ask(t, newWorld().handler(t), "POST", prefix+"/orders", "asha", tc.more...)
			if tc.code != "" {
				refused(t, got, tc.status, tc.code)
			} else if got.status != tc.status || got.header.Get("Content-Type") != "application/json" {
				t.Fatalf("got %d %s: %s", got.status, got.header.Get("Content-Type"), got.text)
			}
		})
	}
}

// A body that never ends is cut off by the server and not read to its end.
func TestABodyWithoutLength(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(newWorld().handler(t))
	defer srv.Close()
	endless := io.MultiReader(strings.NewReader(`{"note":"`), neverEnding('x'))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+prefix+"/orders", endless)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer asha")
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("got %s", resp.Status)
	}
	srv.Client().CloseIdleConnections()
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	for _, path := range []string{"/", "/api/v1/", "/api/v1/nothing", "/api/v1/orders/", "/openapi-3.0.json", "/schemas/Order.json"} {
		refused(t, ask(t, h, "GET", path, ""), 404, "not_found")
	}
	for path, allow := range map[string]string{prefix + "/orders": "GET, HEAD, POST", prefix + "/business/status": "PATCH", "/health": "GET, HEAD"} {
		got := ask(t, h, "PUT", path, "")
		refused(t, got, 405, "method_not_allowed")
		if got.header.Get("Allow") != allow {
			t.Errorf("%s allows %q, want %q", path, got.header.Get("Allow"), allow)
		}
	}
	refused(t, ask(t, h, "GET", prefix+"/orders/"+unknownID.String(), "asha"), 404, "not_found")
	refused(t, ask(t, h, "GET", prefix+"/products/"+unknownID.String(), ""), 404, "not_found")
}
