package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/paysandbox"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// canaries are the secrets of a run, and what each is.
type canaries map[string]string

// in says which secret a text shows.
func (c canaries) in(t *testing.T, where, text string) {
	t.Helper()
	for secret, what := range c {
		if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
			i := strings.Index(text, secret)
			t.Errorf("%s shows %s: …%.200s", where, what, text[max(0, i-100):])
		}
	}
}

// TestNoSecretIsShown runs the program at debug level through all that can be done and much that fails, with secrets that can be
// recognised; and then looks for them in all that it wrote and answered, and in what it serves to everybody.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			env := serverSettings(t, granted(t, pgtest.Database(t))) // of a role with a password, which is its name
			signer, _, err := config.GenerateAuditKey()
			if err != nil {
				t.Fatal(err)
			}
			const webhook, forged = "canary-webhook-secret-of-32-bytes-or-more", "canary-forged-value-000000"
			env["JWT_SECRET"], env["PAYMENT_WEBHOOK_SECRET"], env["AUDIT_KEY"] = jwtSecret, webhook, signer
			env["LOG_LEVEL"], env["LOG_FORMAT"] = "debug", format
			said := newWatch(t)
			s := startSaying(t, env, said)

			secrets := canaries{
				jwtSecret: "JWT_SECRET", webhook: "PAYMENT_WEBHOOK_SECRET", forged: "what a client sent as a secret",
				signer: "AUDIT_KEY", strings.SplitN(signer, "+", 5)[4]: "AUDIT_KEY", // in base64, which has a + at times
			}
			w := &walker{s: s, t: t, secrets: secrets}
			w.walk(webhook, forged)
			said.stopped(t, s)
			secrets.in(t, "the log", said.said())
			for _, text := range w.answers {
				secrets.in(t, "an answer", text)
			}
			if len(w.answers) < 40 || len(said.said()) < 5000 {
				t.Errorf("%d answers and %d bytes of log: too little was done", len(w.answers), len(said.said()))
			}
			for line := range strings.Lines(said.said()) {
				checkLine(t, format, line)
			}
		})
	}
	t.Run("at the command line", func(t *testing.T) {
		t.Parallel()
		const password = "canary-password"
		secrets := canaries{password: "a password", jwtSecret: "JWT_SECRET", auditSigner: "AUDIT_KEY"}
		for _, address := range []string{
			"postgres://app:" + password + "@127.0.0.1:1/orders", "postgres://app:" + password + "@127.0.0.1:1/orders?sslmode=odd", "postgres://app:" + password + "@[::1",
			"postgres://app:" + password + "@127.0.0.1:1/orders?pool_max_conns=x", "host=127.0.0.1 password=" + password, "mysql://app:" + password + "@127.0.0.1/x",
		} {
			for _, command := range []string{"serve", "migrate up", "migrate status", "migrate grant x", "audit verify", "audit export", "projections status", "token --user a --role admin"} {
				env := settings{"DATABASE_URL": address, "JWT_SECRET": jwtSecret, "AUDIT_KEY": auditSigner, "PORT": "0", "LOG_LEVEL": "debug", "DATA_DIR": t.TempDir()}
				var out, log bytes.Buffer
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // it may wait for the database
				err := run(ctx, strings.Fields(command), env.getenv, &out, &log)
				cancel()
				secrets.in(t, command+"'s output", out.String()+log.String()+fmt.Sprint(err))
			}
		}
		for _, command := range []string{"help", "serve --help", "token --help", "audit key --help", "migrate --help"} {
			var out bytes.Buffer
			_ = run(t.Context(), strings.Fields(command), settings{"JWT_SECRET": jwtSecret, "AUDIT_KEY": auditSigner}.getenv, &out, io.Discard)
			secrets.in(t, command, out.String())
			if strings.Contains(out.String(), "--secret") || strings.Contains(out.String(), "--password") {
				t.Errorf("app %s takes a secret as an argument, which every process can read", command)
			}
		}
	})
}

// startSaying runs the server in this process, and hands out what it says.
func startSaying(t *testing.T, s settings, said *watch) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"serve"}, s.getenv, said, said) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	t.Cleanup(stop)
	url := said.await(t, done)
	return &server{url: url, stop: stop, documents: describe(t, url)}
}

// checkLine holds the log to one line an entry, of the form that was asked for, without what moves a terminal.
func checkLine(t *testing.T, format, line string) {
	t.Helper()
	if line = strings.TrimSuffix(line, "\n"); line == "" || strings.HasPrefix(line, "Orderlog is ready") {
		return
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x9b || r == '\u2028' }) {
		t.Errorf("a line has control characters: %q", line)
	}
	ok := strings.HasPrefix(line, "time=")
	if format == "json" {
		ok = json.Valid([]byte(line)) && strings.HasPrefix(line, `{"time":`)
	}
	if !ok {
		t.Errorf("what stands at the beginning of a line is not the log's own: %q", line)
	}
}

// walker does all that can be done, and keeps what it is answered.
type walker struct {
	s       *server
	t       *testing.T
	secrets canaries
	answers []string
}

// ask sends a request and keeps the whole answer.
func (w *walker) ask(method, path, token, body string, headers ...string) string {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.s.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	said := io.Reader(response.Body)
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		said = io.LimitReader(said, 7)
	}
	text, err := io.ReadAll(said)
	if err != nil {
		w.t.Fatal(err)
	}
	var header bytes.Buffer
	_ = response.Header.Write(&header)
	w.answers = append(w.answers, header.String()+string(text))
	return string(text)
}

// token is one whose signature must not be shown again.
func (w *walker) token(user string, role domain.Role, ttl time.Duration) string {
	w.t.Helper()
	token, err := auth.Sign([]byte(jwtSecret), auth.Identity{UserID: user, Role: role, Name: user, ExpiresAt: time.Now().Add(ttl)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.secrets[token[strings.LastIndex(token, ".")+1:]] = "the signature of a token of " + user
	return token
}

func (w *walker) walk(webhook, forged string) {
	w.t.Helper()
	const injected = "x\\u000atime=2026 level=ERROR msg=forged \\u001b[31m\\u2028"
	admin, ada, old := w.token("boss", domain.RoleAdmin, time.Hour), w.token("ada", domain.RoleCustomer, time.Hour), w.token("ada", domain.RoleCustomer, -time.Hour)
	dave := w.token("dave", domain.RoleDelivery, time.Hour)
	w.ask("PATCH", "/api/v1/business/status", admin, `{"isOpen":true}`)
	var product, order, payment struct{ ID string }
	read := func(text string, into any) {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			w.t.Fatalf("%v: %s", err, text)
		}
	}
	read(w.ask("POST", "/api/v1/products", admin, `{"name":"Pizza","description":"","price":950,"currency":"EUR","available":true}`), &product)
	read(w.ask("POST", "/api/v1/orders", ada, `{"items":[{"product":"`+product.ID+`","quantity":1}],"deliveryAddress":"x","paymentMethod":"card"}`, "Idempotency-Key", "k1"), &order)
	read(w.ask("POST", "/api/v1/orders/"+order.ID+"/payments", ada, `{"method":"card"}`), &payment)
	for _, secret := range []string{webhook, "another secret than the one that is right"} {
		for _, event := range []string{"e1", injected} {
			hook := `{"eventId":"` + event + `","paymentId":"` + payment.ID + `","type":"payment.captured","amount":949,"currency":"EUR","reason":"` + injected + `"}`
			signature := paysandbox.Sign([]byte(secret), []byte(hook))
			w.secrets[strings.TrimPrefix(signature, "sha256=")] = "a signature of the webhook"
			w.ask("POST", "/api/v1/payments/webhook", "", hook, "X-Signature", signature)
		}
	}
	w.ask("PATCH", "/api/v1/orders/"+order.ID+"/status", admin, `{"status":"confirmed","message":"`+injected+`"}`)
	w.ask("POST", "/api/v1/orders/"+order.ID+"/cancel", ada, `{"reason":"`+injected+`"}`)
	for _, token := range []string{old, forged, ada + forged, "Bearer " + forged} {
		for _, path := range []string{"/api/v1/orders", "/api/v1/events", "/api/v1/audit/verify"} {
			w.ask("GET", path, token, "")
		}
	}
	for _, query := range []string{"token=", "access_token=", "ticket="} {
		for _, path := range []string{"/api/v1/orders?", "/api/v1/events?", "/ws?", "/socket.io/?EIO=4&transport=polling&sid=x&"} {
			w.ask("GET", path+query+forged, "", "")
		}
	}
	w.ask("GET", "/api/v1/orders/%0atime=2026%20level=ERROR%1b[31m", admin, "")
	w.ask("GET", "/%0atime=2026%20level=ERROR%1b[31m%e2%80%a8", "", "")
	w.ask("GET", "/api/v1/orders/"+order.ID, dave, "", "Cookie", "session="+forged, "X-Forwarded-For", "1.2.3.4\ttime=2026")
	w.ask("POST", "/api/v1/orders", ada, `{"items":"`+forged+`","password":"`+forged+`"}`)
	w.ask("POST", "/api/v1/orders", ada, `{"`+forged)
	w.tickets(ada)
	w.sockets(ada, old, forged, injected, order.ID)
	for _, path := range []string{"/metrics", "/docs", "/openapi.json", "/asyncapi.json", "/health", "/ready", "/api/v1/business"} {
		w.ask("GET", path, "", "")
	}
	for _, path := range []string{"/api/v1/audit/orders/" + order.ID, "/api/v1/audit/checkpoint", "/api/v1/audit/events", "/api/v1/metrics/socket", "/api/v1/socket/status"} {
		w.ask("GET", path, admin, "")
	}
}

// tickets are shown where they are given out, and nowhere else.
func (w *walker) tickets(ada string) {
	w.t.Helper()
	var issued struct{ Ticket string }
	if err := json.Unmarshal([]byte(w.ask("POST", "/api/v1/events/ticket", ada, "")), &issued); err != nil || issued.Ticket == "" {
		w.t.Fatalf("no ticket: %v", err)
	}
	w.answers = w.answers[:len(w.answers)-1]
	for range 2 {
		w.ask("GET", "/api/v1/events?ticket="+issued.Ticket, "", "")
	}
	w.secrets[issued.Ticket] = "a ticket"
}

// sockets says things over the sockets that are refused.
func (w *walker) sockets(ada, old, forged, injected, order string) {
	w.t.Helper()
	for _, token := range []string{ada, old, forged, injected} {
		conn, _ := w.s.handshake(w.t, nil)
		for _, text := range []string{
			`{"event":"register","data":{"token":"` + token + `"},"id":1}`, `{"event":"` + injected + `","data":{"token":"` + forged + `"},"id":2}`,
			`{"event":"refresh","data":{"token":"` + forged + `"},"id":3}`, `{"event":"join:order","data":{"orderId":"` + order + `","lastSeq":"` + injected + `"},"id":4}`,
			`{"event":"join:delivery","data":{"deliveryId":"` + injected + `"},"id":5}`, `{"event":"` + forged,
		} {
			_ = conn.WriteMessage(websocket.TextMessage, []byte(text)) // it may have been closed
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		for _, text, err := conn.ReadMessage(); err == nil; _, text, err = conn.ReadMessage() {
			w.answers = append(w.answers, string(text))
		}
		engine, err := enginetest.Dial(w.t.Context(), w.s.url, enginetest.Options{Path: "/socket.io/"})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, text := range []string{`0{"token":"` + token + `","pid":"` + forged + `","offset":"` + injected + `"}`, `0/nowhere,{"token":"` + forged + `"}`, `2["` + injected + `",{"token":"` + forged + `"}]`} {
			_ = engine.Send(w.t.Context(), text)
		}
		for m, err := engine.Next(w.t.Context()); err == nil; m, err = engine.Next(w.t.Context()) {
			w.answers = append(w.answers, string(m.Data))
			if slices.Contains([]byte("14"), m.Data[0]) || strings.Contains(string(m.Data), "caught_up") || strings.Contains(string(m.Data), "registered") {
				break
			}
		}
		engine.Cut()
	}
}

// stopped waits until all that the program wrote is there.
func (w *watch) stopped(t *testing.T, s *server) {
	t.Helper()
	parttest.Eventually(t, "the log to tell of the last request", func() bool { return strings.Contains(w.said(), "/api/v1/socket/status") })
	s.stop()
}
