package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	place  = `{"items":[{"product":"0190c0de-0000-7000-8000-000000000002","quantity":2}],"deliveryAddress":"12 Hill Rd","paymentMethod":"cod"}`
	basket = `{"items":[{"product":"0190c0de-0000-7000-8000-000000000002","quantity":2}]}`
	half   = `{"code":"HALF","description":"Half off","discountType":"percent","discountValue":50}`
	here   = `{"orderId":"0190c0de-0000-7000-8000-000000000001","latitude":12.97,"longitude":77.59}`
	news   = `{"userId":"asha","title":"Hello","message":"There is soup","type":"news"}`
)

// right says who is let in to an operation: 0, or the status of the refusal. What a command decides itself, such as
// whose order it is, is not refused here.
type right struct {
	method, path, body                       string
	nobody, admin, asha, ben, ravi, courier2 int
	done                                     int // the status of the answer
}

func rights() []right {
	const ok, no, out = 0, http.StatusForbidden, http.StatusUnauthorized
	order, product := "/orders/"+orderID.String(), "/products/"+productID.String()
	cash, card, entry := "/payments/"+cashID.String(), "/payments/"+cardID.String(), "/notifications/"+entryID.String()
	return []right{
		{"GET", "/business", "", ok, ok, ok, ok, ok, ok, 200},
		{"PATCH", "/business/status", `{"isOpen":true}`, out, ok, no, no, no, no, 200},
		{"GET", "/products", "", ok, ok, ok, ok, ok, ok, 200},
		{"GET", "/products?archived=true", "", no, ok, no, no, no, no, 200},
		{"GET", product, "", ok, ok, ok, ok, ok, ok, 200},
		{"POST", "/products", `{"name":"Dosa","price":9000,"currency":"INR"}`, out, ok, no, no, no, no, 201},
		{"PATCH", product, `{"price":1}`, out, ok, no, no, no, no, 200},
		{"DELETE", product, "", out, ok, no, no, no, no, 200},

		{"POST", "/orders", place, out, no, ok, ok, no, no, 201},
		{"GET", "/orders", "", out, ok, ok, ok, ok, ok, 200},
		{"GET", "/orders?customer=asha", "", out, ok, ok, no, no, no, 200},
		{"GET", "/orders?agent=ravi", "", out, ok, no, no, ok, no, 200},
		{"GET", order, "", out, ok, ok, no, ok, no, 200},
		{"PATCH", order + "/status", `{"status":"confirmed"}`, out, ok, no, no, ok, ok, 200},
		{"POST", order + "/cancel", `{"reason":"late"}`, out, ok, ok, ok, no, no, 200},
		{"POST", order + "/assign", `{"agentId":"ravi"}`, out, ok, no, no, no, no, 200},

		{"POST", order + "/payments", `{"method":"cod"}`, out, ok, ok, ok, no, no, 201},
		{"GET", order + "/payments", "", out, ok, ok, no, ok, no, 200},
		{"GET", cash, "", out, ok, ok, no, ok, no, 200},
		{"GET", card, "", out, ok, ok, no, no, no, 200},
		{"POST", cash + "/collect", "", out, ok, no, no, ok, ok, 200},
		{"POST", card + "/refund", `{"reason":"cold"}`, out, ok, no, no, no, no, 200},

		{"PATCH", "/delivery/status", `{"status":"online"}`, out, no, no, no, ok, ok, 200},
		{"GET", "/delivery/agents", "", out, ok, no, no, no, no, 200},
		{"GET", "/delivery/agents/ravi", "", out, ok, no, no, ok, no, 200},
		{"POST", "/delivery/location", here, out, no, no, no, ok, ok, 200},
		{"GET", "/delivery" + order + "/track", "", out, ok, ok, no, ok, no, 200},

		{"GET", "/offers", "", ok, ok, ok, ok, ok, ok, 200},
		{"GET", "/offers?withdrawn=true", "", no, ok, no, no, no, no, 200},
		{"GET", "/offers/HALF", "", ok, ok, ok, ok, ok, ok, 200},
		{"POST", "/offers", half, out, ok, no, no, no, no, 201},
		{"PATCH", "/offers/HALF", `{"maxUses":10}`, out, ok, no, no, no, no, 200},
		{"DELETE", "/offers/HALF", "", out, ok, no, no, no, no, 200},
		{"POST", "/offers/HALF/check", basket, out, no, ok, ok, no, no, 200},

		{"GET", "/notifications", "", out, ok, ok, ok, ok, ok, 200},
		{"POST", "/notifications", news, out, ok, no, no, no, no, 201},
		{"PATCH", entry + "/read", "", out, ok, ok, ok, ok, ok, 200},
		{"POST", "/notifications/read-all", "", out, ok, ok, ok, ok, ok, 200},

		{"GET", "/feed", "", out, ok, ok, ok, ok, ok, 200},
		{"GET", "/events", "", out, ok, ok, ok, ok, ok, 200},
		{"POST", "/events/ticket", "", out, ok, ok, ok, ok, ok, 201},

		{"GET", "/audit" + order, "", out, ok, no, no, no, no, 200},
		{"GET", "/audit" + order + "/state", "", out, ok, no, no, no, no, 200},
		{"GET", "/audit/events", "", out, ok, no, no, no, no, 200},
		{"GET", "/audit/verify", "", out, ok, no, no, no, no, 200},
		{"GET", "/audit/checkpoint", "", out, ok, no, no, no, no, 200},
		{"GET", "/audit/events/3/proof", "", out, ok, no, no, no, no, 200},

		{"GET", "/socket/status", "", out, ok, no, no, no, no, 200},
		{"GET", "/metrics/socket", "", out, ok, no, no, no, no, 200},
	}
}

func TestWhoMayCallWhat(t *testing.T) {
	t.Parallel()
	for _, r := range rights() {
		for token, want := range map[string]int{
			"": r.nobody, "expired": http.StatusUnauthorized, "admin": r.admin, "asha": r.asha, "ben": r.ben, "ravi": r.ravi, "courier2": r.courier2,
		} {
			t.Run(r.method+" "+r.path+" by "+token, func(t *testing.T) {
				t.Parallel()
				w := newWorld()
				got := ask(t, w.handler(t), r.method, prefix+r.path, token, r.body)
				switch {
				case want == 0:
					if got.status != r.done {
						t.Fatalf("got %d, want %d: %s", got.status, r.done, got.text)
					}
					none := strings.Contains(r.path, "/socket") || strings.Contains(r.path, "/events") && !strings.Contains(r.path, "/audit") // no read models
					if got.header.Get("X-Seq") == "" && !none {
						t.Error("no X-Seq")
					}
				case token == "expired":
					refused(t, got, want, "token_expired")
				case want == http.StatusUnauthorized:
					refused(t, got, want, "unauthenticated")
				default:
					refused(t, got, want, "forbidden")
				}
				if want != 0 && len(w.cmds) > 0 {
					t.Error("carried out all the same")
				}
			})
		}
	}
}

func TestEveryOperationIsInTheTableOfRights(t *testing.T) {
	t.Parallel()
	var spec struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal([]byte(ask(t, newWorld().handler(t), "GET", "/openapi.json", "").text), &spec); err != nil {
		t.Fatal(err)
	}
	parameter := regexp.MustCompile(`\{\w+\}`)
	for path, methods := range spec.Paths {
		if !strings.HasPrefix(path, prefix) || path == webhookPath { // the webhook's right is its signature
			continue
		}
		this := regexp.MustCompile("^" + parameter.ReplaceAllString(path, `[^/?]+`) + `(\?|$)`)
		for method := range methods {
			if !slices.ContainsFunc(rights(), func(r right) bool {
				return strings.EqualFold(r.method, method) && this.MatchString(prefix+r.path)
			}) {
				t.Errorf("who may %s %s?", method, path)
			}
		}
	}
}

func TestTokensThatAreNoGood(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	for name, tc := range map[string]struct {
		header    []string
		code      string
		challenge string
	}{
		"none":         {nil, "unauthenticated", `Bearer realm="orderlog"`},
		"bad":          {[]string{"Authorization: Bearer forged"}, "unauthenticated", `error="invalid_token"`},
		"expired":      {[]string{"Authorization: Bearer expired"}, "token_expired", `error="invalid_token"`},
		"other scheme": {[]string{"Authorization: Basic YTpi"}, "unauthenticated", `Bearer`},
		"two":          {[]string{"Authorization: Bearer asha", "Authorization: Bearer admin"}, "unauthenticated", `Bearer`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ask(t, h, "GET", prefix+"/feed", "", tc.header...)
			refused(t, got, 401, tc.code)
			if !strings.Contains(got.header.Get("WWW-Authenticate"), tc.challenge) {
				t.Errorf("challenge %q", got.header.Get("WWW-Authenticate"))
			}
			if tc.header != nil { // also where no token is needed
				refused(t, ask(t, h, "GET", prefix+"/business", "", tc.header...), 401, tc.code)
				refused(t, ask(t, h, "GET", prefix+"/no/such/thing", "", tc.header...), 401, tc.code)
			}
		})
	}
	got := ask(t, h, "GET", prefix+"/business", "nokeys")
	refused(t, got, 503, "unavailable")
	if got.header.Get("Retry-After") == "" || got.header.Get("WWW-Authenticate") != "" {
		t.Errorf("an issuer that is out of reach is not the token's fault: %v", got.header)
	}
}

var errSecret = errors.New("password=hunter2 at db:5432")
