package migrations

import (
	"errors"
	"fmt"
	"testing"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestWhatTheDatabaseSaidCanBeFoundInAnError(t *testing.T) {
	t.Parallel()
	said := &pgconn.PgError{Code: "57P01", Message: "terminating connection"}
	for name, hidden := range map[string]error{
		"a pointer": &database.Error{OrigErr: said, Query: []byte("SELECT 1")},
		"a value":   database.Error{OrigErr: said},
	} {
		wrapped := fmt.Errorf("read the schema's version: %w", hidden)
		err := revealed(wrapped)
		var found *pgconn.PgError
		if !errors.As(err, &found) || found != said {
			t.Errorf("%s: %v does not have what was said", name, err)
		}
		if err.Error() != wrapped.Error() {
			t.Errorf("%s: the text has become %q", name, err)
		}
	}
	for _, other := range []error{nil, ErrNewerSchema, &database.Error{Err: "no cause"}} {
		if err := revealed(other); !errors.Is(err, other) {
			t.Errorf("%v has become %v", other, err)
		}
	}
}
