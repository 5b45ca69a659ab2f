package rest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/payment"
)

const (
	signatureHeader = "X-Signature"
	signaturePrefix = "sha256="
	signed          = "signature" // the scheme's name in the API's description

	// maxSkew is how far sentAt may be from now, either way.
	maxSkew = 5 * time.Minute
)

// paymentProvider is who speaks through the webhook. No token can name this role.
var paymentProvider = commands.Actor{UserID: "payment-provider", Role: domain.RoleSystem}

type providerEventInput struct {
	Body struct {
		_ struct{} `json:"-" additionalProperties:"true"`

		EventID   string     `json:"eventId" pattern:"^[!-~]{1,128}$" patternDescription:"1 to 128 visible ASCII characters" doc:"The provider's id of the event: a repeated one does nothing."`
		PaymentID uuid.UUID  `json:"paymentId" format:"uuid"`
		Type      string     `json:"type" enum:"payment.captured,payment.failed,payment.refunded"`
		Amount    int64      `json:"amount" minimum:"1" doc:"In minor units of the currency: what was captured, was to be captured, or was given back."`
		Currency  string     `json:"currency" doc:"An ISO 4217 code; the payment's." example:"INR"`
		Reason    string     `json:"reason,omitempty" doc:"Why it failed or was given back."`
		RefundID  string     `json:"refundId,omitempty" pattern:"^[!-~]{1,128}$" patternDescription:"1 to 128 visible ASCII characters" doc:"Of a refund that the provider was told to make, the id it was told; it is not counted again. Of another, the provider's id, so that a refund that is told of in two events counts once. The eventId when absent."`
		SentAt    *time.Time `json:"sentAt,omitempty" doc:"When this was signed. With it, what was signed more than 5 minutes ago, or ahead, is refused with 401 signature_expired."`
	}
}

func (s *server) webhook(api huma.API) {
	api.OpenAPI().Components.SecuritySchemes[signed] = &huma.SecurityScheme{
		Type: "apiKey", In: "header", Name: signatureHeader,
		Description: "sha256= and the HMAC-SHA256, in hexadecimal, of the body's bytes under PAYMENT_WEBHOOK_SECRET.",
	}
	register(s, api, huma.Operation{
		OperationID: "receive-payment-event", Method: http.MethodPost, Path: prefix + "/payments/webhook", Tags: []string{"Payments"},
		Summary: "What the payment provider has to tell",
		Description: "Signed, and without a token. Events may come in any order: a refund that is told of before its capture is counted with it. " +
			"A repeated eventId is answered 200 and does nothing, so the provider may send an event until it is answered.\n\n" +
			"A sender that adds sentAt is protected against what was signed long ago being sent again under a new circumstance; " +
			"without it, eventId alone protects.",
		Security: []map[string][]string{{signed: {}}},
		Responses: map[string]*huma.Response{
			"401": {Description: "invalid_signature: X-Signature is missing or not that of this body. signature_expired: sentAt is too far from now."},
			"409": {Description: "amount_mismatch: a capture of another amount or currency than was asked for. refund_exceeds_capture. " +
				"invalid_transition: the payment is cash."},
			"503": {Description: "unavailable: no secret is configured, or the database is out of reach; send it again later."},
		},
		Middlewares: huma.Middlewares{s.checkSigned},
	}, everybody, s.receivePaymentEvent)
}

// checkSigned comes before everything that looks at the body.
func (s *server) checkSigned(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if err := checkSignature(s.cfg.WebhookSecret, r.Header, callOf(r.Context()).body); err != nil {
		s.refuse(w, r, err)
		return
	}
	next(ctx)
}

// checkSignature says the same of every signature that is no good, and takes as long for each of the right form.
func checkSignature(secret []byte, header http.Header, body []byte) error {
	if len(secret) == 0 {
		return problem(domain.CodeUnavailable, "payment events cannot be checked here: the operator must set PAYMENT_WEBHOOK_SECRET")
	}
	var given []byte
	if values := header.Values(signatureHeader); len(values) == 1 {
		if digits, ok := strings.CutPrefix(values[0], signaturePrefix); ok {
			if sum, err := hex.DecodeString(digits); err == nil { // with an error come the bytes before it
				given = sum
			}
		}
	}
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write(body)
	if !hmac.Equal(given, mac.Sum(nil)) {
		return unsigned(domain.CodeInvalidSignature,
			signatureHeader+" must be "+signaturePrefix+" and the HMAC-SHA256, in hexadecimal, of the body as it is sent")
	}
	return nil
}

func unsigned(code domain.Code, detail string) *Problem {
	return problem(code, detail).set("WWW-Authenticate", `Signature realm="orderlog", header="`+signatureHeader+`"`)
}

func (s *server) receivePaymentEvent(ctx context.Context, c *call, in *providerEventInput) (*done[payment.Payment], error) {
	if sent := in.Body.SentAt; sent != nil {
		if age := time.Since(*sent); age > maxSkew || age < -maxSkew {
			return nil, unsigned(domain.CodeSignatureExpired, "sentAt is more than 5 minutes from now: sign it anew, and look at the clock")
		}
	}
	out, err := answerOf(s.cfg.Commands.ProviderEvent(ctx, commands.Request{
		Actor: paymentProvider, CorrelationID: c.id.String(), RemoteAddr: c.remoteAddr,
	}, commands.ProviderEvent{
		EventID: in.Body.EventID, PaymentID: in.Body.PaymentID, Type: in.Body.Type,
		Amount: in.Body.Amount, Currency: in.Body.Currency, Reason: in.Body.Reason, RefundID: in.Body.RefundID,
	}))
	if err == nil {
		return out, nil
	}
	if p, unexpected := asProblem(err, http.MethodPost); !unexpected && p.Status < 500 {
		// Money may have moved of which the log says nothing: somebody has to know.
		s.cfg.Logger.WarnContext(ctx, "an event of the payment provider was refused", "request", c.id, "event", in.Body.EventID,
			"payment", in.Body.PaymentID, "type", in.Body.Type, "amount", in.Body.Amount, "code", p.Code, "why", p.Detail)
	}
	return nil, err
}
