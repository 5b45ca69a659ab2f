package domain

import (
	"errors"
	"fmt"
)

// Code names a kind of refusal. Codes are part of the wire and never change; each
// transport has one table from code to its own status.
type Code string

// The codes of the wire.
const (
	CodeInvalidRequest      Code = "invalid_request"
	CodeUnauthenticated     Code = "unauthenticated"
	CodeForbidden           Code = "forbidden"
	CodeNotFound            Code = "not_found"
	CodeBusinessClosed      Code = "business_closed"
	CodeProductUnavailable  Code = "product_unavailable"
	CodeInvalidTransition   Code = "invalid_transition"
	CodeVersionConflict     Code = "version_conflict"
	CodeIdempotencyMismatch Code = "idempotency_mismatch"
	CodeOfferNotFound       Code = "offer_not_found"
	CodeOfferNotApplicable  Code = "offer_not_applicable" // the detail "rule" says which rule failed
	CodeOfferExists         Code = "offer_exists"
	CodeAgentUnavailable    Code = "agent_unavailable"
	CodeOrderNotActive      Code = "order_not_active" // it is delivered or cancelled
	CodePaymentExists       Code = "payment_exists"   // one live payment an order
	CodeNothingToPay        Code = "nothing_to_pay"
	CodeAmountMismatch      Code = "amount_mismatch" // a capture of another amount or currency than was asked for
	CodeRefundExceeds       Code = "refund_exceeds_capture"
	CodeProviderUnavailable Code = "provider_unavailable" // the payment provider does not answer
	CodeInvalidSignature    Code = "invalid_signature"    // of the payment webhook
	CodeSignatureExpired    Code = "signature_expired"    // a webhook that was signed too long ago
	CodeProjectionBehind    Code = "projection_behind"
	CodeOverloaded          Code = "overloaded"
	CodeUnavailable         Code = "unavailable"
	CodeOutcomeUnknown      Code = "outcome_unknown"
	CodeRateLimited         Code = "rate_limited"
	CodeMessageTooLarge     Code = "message_too_large"
	CodeInternal            Code = "internal"
)

// Error is a refusal that a client is told of. Message is a sentence for people that
// says what to do; Details are extra members of the answer, such as "field".
type Error struct {
	Code    Code
	Message string
	Details map[string]any
	Cause   error // for the log, never for the client; may be nil
}

// Errorf makes an error of a code.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid is the refusal of one field of a request. The field is named as the client
// wrote it, such as "items[2].quantity"; format says what it must be.
func Invalid(field, format string, args ...any) *Error {
	return Errorf(CodeInvalidRequest, "%s %s", field, fmt.Sprintf(format, args...)).With("field", field)
}

// With returns the error with one more detail.
func (e *Error) With(key string, value any) *Error {
	details := make(map[string]any, len(e.Details)+1)
	for k, v := range e.Details {
		details[k] = v
	}
	details[key] = value
	return &Error{Code: e.Code, Message: e.Message, Details: details, Cause: e.Cause}
}

// WithCause returns the error with what led to it.
func (e *Error) WithCause(err error) *Error {
	return &Error{Code: e.Code, Message: e.Message, Details: e.Details, Cause: err}
}

// Error returns code, message and cause, for the log.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the code of the first *Error in err's chain, CodeInternal when there is
// none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
