package domain_test

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/domain"
)

func TestRolesAreTheThreeOfTheWire(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"customer", "admin", "delivery"} {
		if r, err := domain.ParseRole(name); err != nil || string(r) != name {
			t.Errorf("ParseRole(%q) = %q, %v", name, r, err)
		}
	}
	for _, name := range []string{"", "Admin", "courier", "admin "} {
		if r, err := domain.ParseRole(name); err == nil {
			t.Errorf("ParseRole(%q) = %q; want an error", name, r)
		}
	}
}

func TestMoneyIsExactOrRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := amount(t, "a"), amount(t, "b")
		check := func(name string, got domain.Money, err error, want *big.Int) {
			if !want.IsInt64() {
				if !errors.Is(err, domain.ErrOverflow) {
					t.Fatalf("%d %s %d = %v, %v; want overflow", a, name, b, got, err)
				}
				return
			}
			if err != nil || got.Amount != want.Int64() || got.Currency != "EUR" {
				t.Fatalf("%d %s %d = %v, %v; want %s", a, name, b, got, err, want)
			}
		}
		m, n := domain.Money{Amount: a, Currency: "EUR"}, domain.Money{Amount: b, Currency: "EUR"}
		sum, err := m.Add(n)
		check("+", sum, err, new(big.Int).Add(big.NewInt(a), big.NewInt(b)))
		product, err := m.Times(b)
		check("×", product, err, new(big.Int).Mul(big.NewInt(a), big.NewInt(b)))
	})
}

// amount draws mostly from the edges, where arithmetic goes wrong.
func amount(t *rapid.T, name string) int64 {
	edges := []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64, math.MaxInt64 / 2}
	return rapid.OneOf(rapid.SampledFrom(edges), rapid.Int64()).Draw(t, name)
}

func TestMoneyOfTwoCurrenciesDoesNotAdd(t *testing.T) {
	t.Parallel()
	_, err := domain.Money{Amount: 1, Currency: "EUR"}.Add(domain.Money{Amount: 1, Currency: "INR"})
	if !errors.Is(err, domain.ErrCurrencyMismatch) {
		t.Errorf("error %v; want ErrCurrencyMismatch", err)
	}
}

func TestPricesAndCurrencies(t *testing.T) {
	t.Parallel()
	for price, ok := range map[int64]bool{-1: false, 0: true, 1: true, domain.MaxPrice: true, domain.MaxPrice + 1: false} {
		if err := domain.CheckPrice("price", price); (err == nil) != ok {
			t.Errorf("CheckPrice(%d) = %v", price, err)
		}
	}
	for currency, ok := range map[string]bool{"EUR": true, "INR": true, "": false, "EU": false, "eur": false, "EURO": false, "E1R": false, "€": false} {
		if err := domain.CheckCurrency("currency", currency); (err == nil) != ok {
			t.Errorf("CheckCurrency(%q) = %v", currency, err)
		}
	}
}

func TestTextIsCountedInCharactersAndStorable(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text            string
		lowest, highest int
		ok              bool
	}{
		"five characters of many bytes": {"ñ日本語🍕", 1, 5, true},
		"one too many":                  {"ñ日本語🍕!", 1, 5, false},
		"one too few":                   {"a", 2, 5, false},
		"absent where it may be":        {"", 0, 5, true},
		"absent where it must be":       {"", 1, 5, false},
		"only space where it must be":   {" \t\n", 1, 5, false},
		"only space where it may be":    {"  ", 0, 5, true},
		"NUL":                           {"a\x00b", 0, 5, false},
		"broken UTF-8":                  {"a\xff", 0, 5, false},
		"an escape sequence":            {"a\x1b[2J", 0, 9, false},
		"lines and tabs":                {"a\r\n\tb", 0, 5, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := domain.CheckText("note", c.text, c.lowest, c.highest)
			if (err == nil) != c.ok {
				t.Fatalf("error %v", err)
			}
			var refusal *domain.Error
			if err != nil && (!errors.As(err, &refusal) || refusal.Details["field"] != "note" || !strings.HasPrefix(refusal.Message, "note ")) {
				t.Errorf("the error %v does not name the field", err)
			}
		})
	}
}

func TestALineHasNoControlCharacters(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"Ann O'Neil-日本": true, "a\nb": false, "a\tb": false, "\x1b[31mred": false, "a\u0085b": false, "": false, "  ": false,
	} {
		if err := domain.CheckLine("name", text, 1, 20); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestCodeOfFindsTheRefusalInAChain(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	err := domain.Errorf(domain.CodeNotFound, "no").With("a", 1).WithCause(cause).With("b", 2)
	if err.Details["a"] != 1 || err.Details["b"] != 2 || !errors.Is(err, cause) {
		t.Errorf("lost a detail or the cause: %+v", err)
	}
	for want, err := range map[domain.Code]error{
		"":                  nil,
		domain.CodeNotFound: fmt.Errorf("wrapped: %w", err),
		domain.CodeInternal: cause,
	} {
		if got := domain.CodeOf(err); got != want {
			t.Errorf("CodeOf(%v) = %q; want %q", err, got, want)
		}
	}
}
