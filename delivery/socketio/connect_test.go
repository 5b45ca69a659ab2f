package socketio

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/projections"
)

func TestTheTokenSaysWhoIsLetInWhere(t *testing.T) {
	t.Parallel()
	n := newWorld().node(t, options{})
	admin, customer := tokenOf("root", domain.RoleAdmin), tokenOf("ann", domain.RoleCustomer)
	for _, c := range []struct {
		name, namespace, token, header string
		want                           domain.Code // "": let in
	}{
		{name: "a bare token", token: admin},
		{name: "a token as in a header", token: "Bearer " + admin},
		{name: "a token in the handshake's header", header: "Bearer " + admin},
		{name: "a password for a proxy", header: "Basic YTpi"},
		{name: "nobody"},
		{name: "an admin", namespace: "/admin", token: admin},
		{name: "a customer", namespace: "/customer", token: customer},
		{name: "an agent", namespace: "/delivery", token: tokenOf("dan", domain.RoleDelivery)},
		{name: "an admin among customers", namespace: "/customer", token: admin, want: domain.CodeForbidden},
		{name: "a customer among admins", namespace: "/admin", token: customer, want: domain.CodeForbidden},
		{name: "a customer among agents", namespace: "/delivery", token: customer, want: domain.CodeForbidden},
		{name: "nobody among admins", namespace: "/admin", want: domain.CodeUnauthenticated},
		{name: "a token that is none", token: "x", want: domain.CodeUnauthenticated},
		{name: "two tokens", token: "Bearer null null", want: domain.CodeUnauthenticated},
		{name: "two tokens in the header", header: "Bearer x y", want: domain.CodeUnauthenticated},
		{name: "auth counts more than the header", token: "x", header: "Bearer " + admin, want: domain.CodeUnauthenticated},
		{name: "an old token", token: deliverytest.Token("root", domain.RoleAdmin, -time.Second), want: delivery.CodeTokenExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := newClient(t, map[string]any{"token": c.token})
			x.namespace = c.namespace
			if c.token == "" {
				x.auth["token"] = nil
			}
			if c.header != "" {
				x.options.Header = http.Header{"Authorization": {c.header}}
			}
			if c.want == "" {
				x.connect(n)
				return
			}
			if f := x.refused(n); f.Code != c.want || f.Message == "" {
				t.Errorf("refused with %+v", f)
			}
		})
	}
}

// The apps of the system before this one put whatever they have behind "Bearer", also before anybody has logged in.
func TestATokenThatWasNotThereYetIsNone(t *testing.T) {
	t.Parallel()
	n := newWorld().node(t, options{})
	for _, none := range []string{"Bearer null", "Bearer undefined", "Bearer", "Bearer ", "bearer  null", "null", "undefined", "", " "} {
		inAuth, inHeader := newClient(t, map[string]any{"token": none}), newClient(t, nil)
		inHeader.options.Header = http.Header{"Authorization": {none}}
		for where, c := range map[string]*client{"auth": inAuth, "the header": inHeader} {
			if h := c.connect(n).ask("register"); h.data.UserID != nil {
				t.Errorf("%q in %s: %s", none, where, h.raw)
			}
			c.engine.Cut()
			c.namespace, c.pid = "/customer", ""
			if f := c.refused(n); f.Code != domain.CodeUnauthenticated || !strings.Contains(f.Message, "needs a token") {
				t.Errorf("%q in %s: refused with %+v", none, where, f)
			}
			c.engine.Cut()
		}
		inAuth.options.Header = http.Header{"Authorization": {"Bearer " + tokenOf("ann", domain.RoleCustomer)}}
		inAuth.connect(n) // by the token that there is
		inAuth.engine.Cut()
	}
}

func TestANamespaceThatDoesNotExistIsRefused(t *testing.T) {
	t.Parallel()
	n := newWorld().node(t, options{})
	c := newClient(t, nil)
	c.namespace = "/nowhere"
	if f := c.refused(n); f.Message != "Invalid namespace" {
		t.Errorf("refused with %+v", f)
	}
}

func TestAuthThatIsWronglyMadeIsRefusedByTheMembersName(t *testing.T) {
	t.Parallel()
	n := newWorld().node(t, options{})
	for member, value := range map[string]any{
		"auth.token": 7, "auth.lastSeq": "x", "auth.log": 7, "auth.rooms": "order:1",
	} {
		c := newClient(t, map[string]any{strings.TrimPrefix(member, "auth."): value})
		if f := c.refused(n); f.Code != domain.CodeInvalidRequest || !strings.HasPrefix(f.Message, member) {
			t.Errorf("%s: refused with %+v", member, f)
		}
	}
	if f := newClient(t, map[string]any{"lastSeq": -1}).refused(n); f.Code != domain.CodeInvalidRequest {
		t.Errorf("refused with %+v", f)
	}
	if _, err := decodeCredentials(json.RawMessage(`[1]`)); domain.CodeOf(err) != domain.CodeInvalidRequest {
		t.Errorf("an array: %v", err)
	}
	for _, raw := range []string{"", "null", "{}", `{"token":null,"lastSeq":null,"log":null,"rooms":null,"pid":null,"offset":null,"mine":1}`} {
		if c, err := decodeCredentials(json.RawMessage(raw)); err != nil || c.token != "" || c.lastSeq != nil || c.pid != "" || c.offset != "" {
			t.Errorf("%q: %+v, %v", raw, c, err)
		}
	}
}

func FuzzCredentials(f *testing.F) {
	f.Add([]byte(`{"token":"Bearer x","lastSeq":3,"log":"y","rooms":["order:1"],"pid":"p","offset":17}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := decodeCredentials(raw)
		if err != nil {
			if domain.CodeOf(err) != domain.CodeInvalidRequest {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		p := planFor(c, whoOf("ann", domain.RoleCustomer))
		if p.start.LastSeq != nil && *p.start.LastSeq < 0 {
			t.Errorf("%q begins after %d", raw, *p.start.LastSeq)
		}
	})
}

func TestATokenThatExpiresEndsTheConnection(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{})
	auth := map[string]any{"token": deliverytest.Token("ann", domain.RoleCustomer, 300*time.Millisecond)}
	c := newClient(t, auth).connect(n)
	all := c.expectClosed()
	if len(all) == 0 || all[len(all)-1].name != "error" || all[len(all)-1].data.Code != string(delivery.CodeTokenExpired) {
		t.Errorf("before the end it was told %v", all)
	}
	if f := c.refused(n); f.Code != delivery.CodeTokenExpired {
		t.Errorf("refused with %+v", f)
	}
	auth["token"] = tokenOf("ann", domain.RoleCustomer)
	if c.connect(n); !c.recovered {
		t.Error("it is not recovered")
	}
	if s := n.handler.Stats(); s.Refused[delivery.CodeTokenExpired] != 1 || s.Engine.Closed[reasonTokenExpired] != 1 {
		t.Errorf("stats: %+v", s)
	}
}

func TestATokenThatIsRefreshedKeepsTheConnection(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{})
	c := newClient(t, map[string]any{"token": deliverytest.Token("ann", domain.RoleCustomer, 300*time.Millisecond)}).connect(n)
	if ack := c.ask("refresh", map[string]any{"token": tokenOf("ann", domain.RoleCustomer)}); ack.error != nil {
		t.Fatal(ack.raw)
	}
	until := time.Now().Add(400 * time.Millisecond)
	parttest.Eventually(t, "the end of the old token", func() bool { return time.Now().After(until) })
	w.tell("e", "all")
	c.expect("e")
}

func TestAServerThatGoesAwaySaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n, other := w.node(t, options{}), w.node(t, options{})
	var clients []*client
	for _, transport := range []string{enginetest.WebSocket, enginetest.Polling, enginetest.Upgrade} {
		c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)})
		c.options.Transport, c.namespace = transport, "/admin"
		clients = append(clients, c.connect(n))
	}
	if s := n.handler.Stats().Sockets[SocketKind{"/admin", domain.RoleAdmin}]; s != 3 {
		t.Errorf("%d sockets are open", s)
	}
	done := make(chan error, 1)
	go func() { done <- n.handler.Shutdown(t.Context()) }()
	for _, c := range clients {
		all := c.expectClosed()
		if len(all) == 0 || all[len(all)-1].name != "reconnect" || all[len(all)-1].data.AfterMs < 500 {
			t.Errorf("%s: before the end it was told %v", c.options.Transport, all)
		}
	}
	must(t, parttest.Await(t, "the shutdown", done))
	w.tell("e", "all")
	for _, c := range clients {
		if c.connect(other); !c.recovered {
			t.Errorf("%s: it is not recovered", c.options.Transport)
		}
		c.expect("e")
	}
}

func TestPagesOfOtherOriginsAreKeptOut(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		origin  string
		allowed []string
		want    int
	}{
		{"", nil, http.StatusOK},
		{"https://shop.example", []string{"https://shop.example/"}, http.StatusOK},
		{"https://evil.example", []string{"https://shop.example"}, http.StatusForbidden},
		{"https://evil.example", nil, http.StatusForbidden},
		{"https://any.example", []string{"*"}, http.StatusOK},
	} {
		n := newWorld().node(t, options{handler: func(cfg *Config) { cfg.Origins = x.allowed }})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/socket.io/?EIO=4&transport=polling", nil)
		must(t, err)
		if x.origin != "" {
			req.Header.Set("Origin", x.origin)
		}
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode != x.want {
			t.Errorf("%q with %v: %s", x.origin, x.allowed, resp.Status)
		}
	}
}

func TestSocketsOfSeveralNamespacesShareAConnection(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)}).connect(n)
	ctx, cancel := c.context()
	defer cancel()
	must(t, c.engine.Send(ctx, `0/admin,{"token":"`+tokenOf("root", domain.RoleAdmin)+`"}`))
	m, err := c.engine.Next(ctx)
	must(t, err)
	if !strings.HasPrefix(string(m.Data), `0/admin,{"sid":"`) {
		t.Fatalf("got %s", m.Data)
	}
	w.tell(projections.EventOrderNew, "role:admin")
	var got []string
	for range 2 {
		m, err := c.engine.Next(ctx)
		must(t, err)
		got = append(got, strings.SplitN(string(m.Data), "[", 2)[0])
	}
	if slices.Sort(got); !slices.Equal(got, []string{"2", "2/admin,"}) {
		t.Errorf("got %v", got)
	}
	must(t, c.engine.Send(ctx, "1/admin,"))
	kinds := func() int { return len(n.handler.Stats().Sockets) }
	parttest.Eventually(t, "the namespace to be left", func() bool { return kinds() == 1 })
	w.tell("e", "all")
	c.expect("e")
}
