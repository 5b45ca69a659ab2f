package delivery

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain"
)

// codesIn reads the constants out of the source, so that a new code cannot be left out of the table by forgetting it
// here as well.
func codesIn(t *testing.T, file string) []domain.Code {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []domain.Code
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			code, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, domain.Code(code))
		}
		return true
	})
	return codes
}

func TestEveryCodeHasItsRow(t *testing.T) {
	t.Parallel()
	codes := append(codesIn(t, "../domain/errors.go"), codesIn(t, "codes.go")...)
	if len(codes) < 37 {
		t.Fatalf("only %d codes found: the test looks in the wrong place", len(codes))
	}
	for _, code := range codes {
		if _, ok := outcomes[code]; !ok {
			t.Errorf("%s has no row", code)
		}
	}
	if len(outcomes) != len(codes) {
		t.Errorf("%d rows for %d codes", len(outcomes), len(codes))
	}
}

func TestTheRowsKeepTheirPromises(t *testing.T) {
	t.Parallel()
	for code, o := range outcomes {
		if o.Status < 400 || o.Status > 599 {
			t.Errorf("%s: status %d", code, o.Status)
		}
		if o.Status == 422 && code != domain.CodeIdempotencyMismatch {
			t.Errorf("%s takes the status of a reused idempotency key", code)
		}
		if (o.Status == 503 || o.Status == 429) && !o.Retry {
			t.Errorf("%s: status %d asks to come back", code, o.Status)
		}
	}
	for code, want := range map[domain.Code]int{ // the close codes clients rely on
		"bad_message": 4400, "unauthenticated": 4401, "token_expired": 4401, "forbidden": 4403, "register_timeout": 4408,
		"slow_consumer": 4409, "message_too_large": 4413, "rate_limited": 4429,
	} {
		if got := OutcomeOf(code).Close; got != want {
			t.Errorf("%s closes with %d, want %d", code, got, want)
		}
	}
}

func TestWhatDependsOnTheStateOfThingsIsAConflict(t *testing.T) {
	t.Parallel()
	for code, want := range map[domain.Code]int{
		"offer_not_found": 404, "offer_not_applicable": 409, "offer_exists": 409, "agent_unavailable": 409, "order_not_active": 409,
		"payment_exists": 409, "nothing_to_pay": 409, "amount_mismatch": 409, "refund_exceeds_capture": 409,
		"provider_unavailable": 503, "invalid_signature": 401, "signature_expired": 401,
	} {
		if got := OutcomeOf(code); got.Status != want || got.Close != 0 {
			t.Errorf("%s: status %d, close %d; want %d and no close", code, got.Status, got.Close, want)
		}
	}
}

func TestAnUnknownCodeIsInternal(t *testing.T) {
	t.Parallel()
	if got := OutcomeOf("no_such_code"); got.Status != 500 {
		t.Fatalf("got %+v", got)
	}
}
