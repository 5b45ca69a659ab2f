package delivery

import (
	"net/http"

	"github.com/orderlog/orderlog/domain"
)

// Codes that only the way a client is connected gives rise to. Like the domain's they are part of the wire and never
// change.
const (
	CodeBadMessage           domain.Code = "bad_message"
	CodeTokenExpired         domain.Code = "token_expired"
	CodeRegisterTimeout      domain.Code = "register_timeout"
	CodeSlowConsumer         domain.Code = "slow_consumer"
	CodeMethodNotAllowed     domain.Code = "method_not_allowed"
	CodeUnsupportedMediaType domain.Code = "unsupported_media_type"
	CodeCursorExpired        domain.Code = "cursor_expired"
	CodeCursorAhead          domain.Code = "cursor_ahead"
	CodeCursorOfAnotherLog   domain.Code = "cursor_of_another_log"
)

// Outcome is what a code is on each way out. The code itself is the same everywhere: it is the `code` of a REST
// problem, of a failed acknowledgement and of an error message, and the reason of a WebSocket's close.
type Outcome struct {
	// Status is the HTTP status.
	Status int
	// Close is the WebSocket close code for a connection that ends because of it; 0 when it never ends one.
	Close int
	// Retry says that the same request may succeed a moment later, unchanged.
	Retry bool
}

// The table of all codes. What a client did wrong itself is a 4xx and stays wrong when repeated; 409 and 410 depend on
// the state of things; 503 is the program's own trouble. 422 is kept for a reused idempotency key.
var outcomes = map[domain.Code]Outcome{
	domain.CodeInvalidRequest:      {Status: http.StatusBadRequest},
	domain.CodeUnauthenticated:     {Status: http.StatusUnauthorized, Close: 4401},
	domain.CodeForbidden:           {Status: http.StatusForbidden, Close: 4403},
	domain.CodeNotFound:            {Status: http.StatusNotFound},
	domain.CodeBusinessClosed:      {Status: http.StatusConflict},
	domain.CodeProductUnavailable:  {Status: http.StatusConflict},
	domain.CodeInvalidTransition:   {Status: http.StatusConflict},
	domain.CodeVersionConflict:     {Status: http.StatusConflict, Retry: true},
	domain.CodeIdempotencyMismatch: {Status: http.StatusUnprocessableEntity},
	domain.CodeOfferNotFound:       {Status: http.StatusNotFound},
	domain.CodeOfferNotApplicable:  {Status: http.StatusConflict},
	domain.CodeOfferExists:         {Status: http.StatusConflict},
	domain.CodeAgentUnavailable:    {Status: http.StatusConflict},
	domain.CodeOrderNotActive:      {Status: http.StatusConflict},
	domain.CodePaymentExists:       {Status: http.StatusConflict},
	domain.CodeNothingToPay:        {Status: http.StatusConflict},
	domain.CodeAmountMismatch:      {Status: http.StatusConflict},
	domain.CodeRefundExceeds:       {Status: http.StatusConflict},
	domain.CodeProviderUnavailable: {Status: http.StatusServiceUnavailable, Retry: true},
	domain.CodeInvalidSignature:    {Status: http.StatusUnauthorized},
	domain.CodeSignatureExpired:    {Status: http.StatusUnauthorized},
	domain.CodeProjectionBehind:    {Status: http.StatusServiceUnavailable, Retry: true},
	domain.CodeOverloaded:          {Status: http.StatusServiceUnavailable, Close: 1013, Retry: true},
	domain.CodeUnavailable:         {Status: http.StatusServiceUnavailable, Close: 1013, Retry: true},
	domain.CodeOutcomeUnknown:      {Status: http.StatusServiceUnavailable, Retry: true},
	domain.CodeRateLimited:         {Status: http.StatusTooManyRequests, Close: 4429, Retry: true},
	domain.CodeMessageTooLarge:     {Status: http.StatusRequestEntityTooLarge, Close: 4413},
	domain.CodeInternal:            {Status: http.StatusInternalServerError, Close: 1011},

	CodeBadMessage:           {Status: http.StatusBadRequest, Close: 4400},
	CodeTokenExpired:         {Status: http.StatusUnauthorized, Close: 4401},
	CodeRegisterTimeout:      {Status: http.StatusRequestTimeout, Close: 4408},
	CodeSlowConsumer:         {Status: http.StatusRequestTimeout, Close: 4409},
	CodeMethodNotAllowed:     {Status: http.StatusMethodNotAllowed},
	CodeUnsupportedMediaType: {Status: http.StatusUnsupportedMediaType},
	CodeCursorExpired:        {Status: http.StatusGone},
	CodeCursorAhead:          {Status: http.StatusGone},
	CodeCursorOfAnotherLog:   {Status: http.StatusGone},
}

// OutcomeOf answers what a code is on each way out. An unknown code is as bad as CodeInternal.
func OutcomeOf(code domain.Code) Outcome {
	if o, ok := outcomes[code]; ok {
		return o
	}
	return outcomes[domain.CodeInternal]
}
