package rest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
)

const (
	webhookPath = prefix + "/payments/webhook"
	captured    = `{"eventId":"evt_1","paymentId":"0190c0de-0000-7000-8000-000000000004","type":"payment.captured","amount":900,"currency":"INR"}`
)

// signature is the header of a body that somebody with a secret signed.
func signature(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(body))
	return "X-Signature: sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestTheProvidersEventsAreTaken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		want commands.ProviderEvent
	}{
		"captured": {captured, commands.ProviderEvent{EventID: "evt_1", PaymentID: cardID, Type: "payment.captured", Amount: 900, Currency: "INR"}},
		"failed": {
			`{"eventId":"e","paymentId":"` + cardID.String() + `","type":"payment.failed","amount":900,"currency":"INR","reason":"no funds"}`,
			commands.ProviderEvent{EventID: "e", PaymentID: cardID, Type: "payment.failed", Amount: 900, Currency: "INR", Reason: "no funds"},
		},
		"an amount that is no exact float": {
			strings.Replace(captured, "900", "9007199254740993", 1),
			commands.ProviderEvent{EventID: "evt_1", PaymentID: cardID, Type: "payment.captured", Amount: 9007199254740993, Currency: "INR"},
		},
		"with more fields": {
			strings.Replace(captured, "{", `{"attempt":{"n":[1]},`, 1),
			commands.ProviderEvent{EventID: "evt_1", PaymentID: cardID, Type: "payment.captured", Amount: 900, Currency: "INR"},
		},
		"spread out": {
			strings.ReplaceAll(captured, ",", " ,\n\t"),
			commands.ProviderEvent{EventID: "evt_1", PaymentID: cardID, Type: "payment.captured", Amount: 900, Currency: "INR"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			id := uuid.NewString()
			got := ask(t, w.handler(t), "POST", webhookPath, "", tc.body, signature(webhookSecret, tc.body), "X-Request-Id: "+id)
			if got.status != 200 || got.body["id"] != cardID.String() || got.header.Get("X-Seq") != "50" {
				t.Fatalf("got %d, X-Seq %q: %s", got.status, got.header.Get("X-Seq"), got.text)
			}
			if w.cmds[0] != tc.want {
				t.Errorf("got %+v, want %+v", w.cmds[0], tc.want)
			}
			req := w.requests[0]
			if req.Actor.Role != domain.RoleSystem || req.Actor.UserID == "" || req.CorrelationID != id || req.RemoteAddr != "192.0.2.7" || req.Key != "" {
				t.Errorf("asked by %+v", req)
			}
		})
	}
}

func TestARepeatedEventIsAnsweredAsOne(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.replayed = true
	got := ask(t, w.handler(t), "POST", webhookPath, "", captured, signature(webhookSecret, captured))
	if got.status != 200 || got.header.Get("Idempotent-Replayed") != "true" {
		t.Fatalf("got %d %v", got.status, got.header)
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	good := signature(webhookSecret, captured)
	digits := strings.TrimPrefix(good, "X-Signature: sha256=")
	for name, tc := range map[string]struct {
		body    string
		headers []string
		fine    bool
	}{
		"the right one":                     {captured, []string{good}, true},
		"in capitals":                       {captured, []string{"X-Signature: sha256=" + strings.ToUpper(digits)}, true},
		"none":                              {captured, nil, false},
		"an empty one":                      {captured, []string{"X-Signature: "}, false},
		"no digits":                         {captured, []string{"X-Signature: sha256="}, false},
		"without the algorithm":             {captured, []string{"X-Signature: " + digits}, false},
		"another algorithm":                 {captured, []string{"X-Signature: sha1=" + digits}, false},
		"not hexadecimal":                   {captured, []string{"X-Signature: sha256=" + strings.Repeat("z", 64)}, false},
		"cut short":                         {captured, []string{good[:len(good)-2]}, false},
		"too long":                          {captured, []string{good + "00"}, false},
		"followed by no hexadecimal":        {captured, []string{good + "zz"}, false},
		"one digit wrong":                   {captured, []string{"X-Signature: sha256=" + flip(digits)}, false},
		"two":                               {captured, []string{good, good}, false},
		"of another body":                   {strings.Replace(captured, "900", "1", 1), []string{good}, false},
		"of the same JSON spread out":       {captured + "\n", []string{good}, false},
		"by another secret":                 {captured, []string{signature("guessed", captured)}, false},
		"by no secret":                      {captured, []string{signature("", captured)}, false},
		"of an empty body":                  {"", []string{good}, false},
		"none, of a body that is no JSON":   {`{"eventId":`, nil, false},
		"none, of a body that is no UTF-8":  {"{\"eventId\":\"\xff\"}", nil, false},
		"none, of a form":                   {captured, []string{"Content-Type: application/x-www-form-urlencoded"}, false},
		"none, of an event that is expired": {sentAt(-time.Hour), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			got := ask(t, w.handler(t), "POST", webhookPath, "", append([]string{tc.body}, tc.headers...)...)
			if tc.fine {
				if got.status != 200 || len(w.cmds) != 1 {
					t.Fatalf("got %d: %s", got.status, got.text)
				}
				return
			}
			refused(t, got, 401, "invalid_signature")
			const says = "X-Signature must be sha256= and the HMAC-SHA256, in hexadecimal, of the body as it is sent"
			if got.body["detail"] != says || got.body["errors"] != nil {
				t.Errorf("says something of its own: %s", got.text)
			}
			if got.header.Get("WWW-Authenticate") == "" {
				t.Error("no challenge")
			}
			if len(w.cmds) > 0 {
				t.Error("carried out all the same")
			}
		})
	}
}

// flip changes the last digit of a hexadecimal number.
func flip(digits string) string {
	last := "0"
	if strings.HasSuffix(digits, last) {
		last = "1"
	}
	return digits[:len(digits)-1] + last
}

// sentAt is an event that was signed a while from now.
func sentAt(d time.Duration) string {
	return strings.Replace(captured, "{", fmt.Sprintf(`{"sentAt":%q,`, time.Now().Add(d).Format(time.RFC3339Nano)), 1)
}

func TestWhatWasSignedLongAgoIsRefused(t *testing.T) {
	t.Parallel()
	india := time.FixedZone("", 5*3600+1800)
	for name, tc := range map[string]struct {
		body func() string // made when it is sent: on a busy machine that may be much later
		fine bool
	}{
		"now": {func() string { return sentAt(0) }, true},
		"in another zone": {func() string {
			return strings.Replace(captured, "{", `{"sentAt":"`+time.Now().In(india).Format(time.RFC3339)+`",`, 1)
		}, true},
		"nearly 5 minutes ago":  {func() string { return sentAt(-4*time.Minute - 30*time.Second) }, true},
		"5 minutes ago":         {func() string { return sentAt(-5*time.Minute - time.Second) }, false},
		"a clock that is ahead": {func() string { return sentAt(4*time.Minute + 30*time.Second) }, true},
		"one that is far ahead": {func() string { return sentAt(5*time.Minute + 30*time.Second) }, false},
		"long ago":              {func() string { return sentAt(-24 * time.Hour) }, false},
		"in the year 1":         {func() string { return strings.Replace(captured, "{", `{"sentAt":"0001-01-01T00:00:00Z",`, 1) }, false},
		"in the year 9999":      {func() string { return strings.Replace(captured, "{", `{"sentAt":"9999-12-31T23:59:59Z",`, 1) }, false},
		"null, as if not there": {func() string { return strings.Replace(captured, "{", `{"sentAt":null,`, 1) }, true},
		"not there, as ever":    {func() string { return captured }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			h, body := w.handler(t), tc.body()
			got := ask(t, h, "POST", webhookPath, "", body, signature(webhookSecret, body))
			if tc.fine {
				if got.status != 200 || len(w.cmds) != 1 {
					t.Fatalf("got %d: %s", got.status, got.text)
				}
				return
			}
			refused(t, got, 401, "signature_expired")
			if len(w.cmds) > 0 {
				t.Error("carried out all the same")
			}
		})
	}
}

func TestSignedEventsThatAreNotValid(t *testing.T) {
	t.Parallel()
	change := func(from, to string) string { return strings.Replace(captured, from, to, 1) }
	for name, tc := range map[string]struct{ body, location string }{
		"no body":                   {"", ""},
		"broken JSON":               {captured[:40], "body"},
		"no UTF-8":                  {change("evt_1", "\xff"), "body"},
		"an array":                  {"[" + captured + "]", "body"},
		"no eventId":                {change(`"eventId":"evt_1",`, ""), "body"},
		"an empty eventId":          {change("evt_1", ""), "body.eventId"},
		"an eventId with a space":   {change("evt_1", "evt 1"), "body.eventId"},
		"an eventId with a newline": {change("evt_1", `evt\n`), "body.eventId"},
		"an eventId of 129":         {change("evt_1", strings.Repeat("e", 129)), "body.eventId"},
		"an eventId as a number":    {change(`"evt_1"`, "1"), "body.eventId"},
		"a payment of no UUID":      {change(cardID.String(), "pay_1"), "body.paymentId"},
		"another type":              {change("payment.captured", "payment.disputed"), "body.type"},
		"an amount of 0":            {change("900", "0"), "body.amount"},
		"a negative amount":         {change("900", "-900"), "body.amount"},
		"half an amount":            {change("900", "900.5"), "body.amount"},
		"an amount as text":         {change("900", `"900"`), "body.amount"},
		"an amount beyond 64 bits":  {change("900", "9223372036854775808"), "body"},
		"an amount beyond floats":   {change("900", "1e400"), "body"},
		"NaN":                       {change("900", "NaN"), "body"},
		"no currency":               {change(`,"currency":"INR"`, ""), "body"},
		"a time that is none":       {change("{", `{"sentAt":"yesterday",`), "body.sentAt"},
		"a time as a number":        {change("{", `{"sentAt":1767225600,`), "body.sentAt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			got := ask(t, w.handler(t), "POST", webhookPath, "", tc.body, signature(webhookSecret, tc.body))
			refused(t, got, 400, "invalid_request")
			faultAt(t, got, tc.location)
			if len(w.cmds) > 0 {
				t.Error("carried out all the same")
			}
		})
	}
}

func TestWithoutASecretNoEventIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t, func(c *Config) { c.WebhookSecret = nil })
	got := ask(t, h, "POST", webhookPath, "", captured, signature("", captured))
	refused(t, got, 503, "unavailable")
	if !strings.Contains(got.text, "PAYMENT_WEBHOOK_SECRET") || got.header.Get("Retry-After") == "" || len(w.cmds) > 0 {
		t.Errorf("got %v: %s", got.header, got.text)
	}
}

// A token neither replaces a signature nor is it looked past.
func TestTheWebhookAndTokens(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	refused(t, ask(t, h, "POST", webhookPath, "admin", captured), 401, "invalid_signature")
	refused(t, ask(t, h, "POST", webhookPath, "forged", captured, signature(webhookSecret, captured)), 401, "unauthenticated")
}

func TestWhatTheCommandRefusesTheProviderIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail = domain.Errorf(domain.CodeAmountMismatch, "asked for 900 INR").With("amount", 900)
	got := ask(t, w.handler(t), "POST", webhookPath, "", captured, signature(webhookSecret, captured))
	refused(t, got, 409, "amount_mismatch")
	if got.body["amount"] != 900.0 {
		t.Errorf("the amount is not told: %s", got.text)
	}
	// Nothing of it is in the log of events, so the operator is told.
	if said := w.log.String(); !strings.Contains(said, "amount_mismatch") || !strings.Contains(said, "evt_1") || !strings.Contains(said, "level=WARN") {
		t.Errorf("the operator reads %s", said)
	}
}
