package domain

import (
	"errors"
	"fmt"
	"math"
)

// MaxPrice is the highest price of one piece, in minor units.
const MaxPrice int64 = 100_000_000_00

var (
	// ErrOverflow says that an amount does not fit 64 bits.
	ErrOverflow = errors.New("amount of money is too large")
	// ErrCurrencyMismatch says that amounts of two currencies were added.
	ErrCurrencyMismatch = errors.New("amounts are of different currencies")
)

// Money is an amount in the minor units of its currency, such as cents.
type Money struct {
	Amount   int64
	Currency string // ISO 4217, three upper-case letters
}

// Add returns the sum; ErrCurrencyMismatch or ErrOverflow when there is none.
func (m Money) Add(n Money) (Money, error) {
	if m.Currency != n.Currency {
		return Money{}, fmt.Errorf("add %s to %s: %w", n.Currency, m.Currency, ErrCurrencyMismatch)
	}
	sum := m.Amount + n.Amount
	// A sum wraps round exactly when both parts have the sign that it has not.
	if (m.Amount >= 0) == (n.Amount >= 0) && (sum >= 0) != (m.Amount >= 0) {
		return Money{}, ErrOverflow
	}
	return Money{Amount: sum, Currency: m.Currency}, nil
}

// Times returns n times the amount; ErrOverflow when it does not fit.
func (m Money) Times(n int64) (Money, error) {
	if m.Amount == 0 || n == 0 {
		return Money{Currency: m.Currency}, nil
	}
	// -1 × the lowest number wraps round to itself, and so does its division.
	if (m.Amount == math.MinInt64 && n == -1) || (n == math.MinInt64 && m.Amount == -1) {
		return Money{}, ErrOverflow
	}
	product := m.Amount * n
	if product/n != m.Amount {
		return Money{}, ErrOverflow
	}
	return Money{Amount: product, Currency: m.Currency}, nil
}

// CheckPrice refuses a price below nothing or above MaxPrice.
func CheckPrice(field string, amount int64) error {
	if amount < 0 || amount > MaxPrice {
		return Invalid(field, "must be a whole number of minor units from 0 to %d", MaxPrice)
	}
	return nil
}

// CheckCurrency refuses what is not three upper-case letters.
func CheckCurrency(field, currency string) error {
	ok := len(currency) == 3
	for _, c := range []byte(currency) {
		ok = ok && c >= 'A' && c <= 'Z'
	}
	if !ok {
		return Invalid(field, "must be a currency code of three upper-case letters, such as EUR")
	}
	return nil
}
