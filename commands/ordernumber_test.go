package commands_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/commands"
)

// row answers every query with one number.
type row struct {
	number int64
	err    error
}

func (r row) QueryRow(context.Context, string, ...any) pgx.Row { return r }

func (r row) Scan(dest ...any) error {
	*dest[0].(*int64) = r.number
	return r.err
}

func TestOrderNumbersHaveSixDigitsOrMore(t *testing.T) {
	t.Parallel()
	for number, want := range map[int64]string{1: "ORD-000001", 999_999: "ORD-999999", 1_000_000: "ORD-1000000"} {
		got, err := commands.NewSequenceNumbers(row{number: number}).NextOrderNumber(t.Context())
		if err != nil || got != want {
			t.Errorf("number %d is %q, %v; want %q", number, got, err, want)
		}
	}
	cause := errors.New("gone")
	if _, err := commands.NewSequenceNumbers(row{err: cause}).NextOrderNumber(t.Context()); !errors.Is(err, cause) {
		t.Errorf("error %v; want the cause", err)
	}
}
