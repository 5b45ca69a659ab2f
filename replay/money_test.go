package replay_test

import (
	"math"
	"testing"

	"github.com/orderlog/orderlog/replay"
)

func TestAnAmountHasTheDecimalsOfItsCurrency(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount   int64
		currency string
		want     string
	}{
		{1900, "EUR", "19.00 EUR"},
		{5, "EUR", "0.05 EUR"},
		{0, "USD", "0.00 USD"},
		{-5, "EUR", "-0.05 EUR"},
		{-1900, "INR", "-19.00 INR"},
		{1900, "JPY", "1900 JPY"},
		{-1, "KRW", "-1 KRW"},
		{1900, "KWD", "1.900 KWD"},
		{5, "BHD", "0.005 BHD"},
		{1000, "IQD", "1.000 IQD"},
		{12345, "CLF", "1.2345 CLF"},
		{1900, "ABC", "1900 minor units of ABC"},
		{7, "", "7 minor units of"},
		{math.MinInt64, "EUR", "-92233720368547758.08 EUR"},
		{math.MaxInt64, "JPY", "9223372036854775807 JPY"},
	} {
		if got := replay.Money(c.amount, c.currency); got != c.want {
			t.Errorf("%d %s: %q; want %q", c.amount, c.currency, got, c.want)
		}
	}
}
