package migrations

import (
	"errors"
	"testing"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestWhatTheDatabaseSaidCanBeFoundInAnError(t *testing.T) {
	t.Parallel()
	said := &pgconn.PgError{Severity: "FATAL", Code: "57P01", Message: "terminating connection"}
	for name, c := range map[string]struct {
		hidden error
		want   string
		cause  bool
	}{
		"a pointer": {&database.Error{OrigErr: said, Query: []byte("SELECT 1")}, "the database refuses: " + said.Error(), true},
		"a value":   {database.Error{OrigErr: said, Err: "migration failed", Line: 3, Query: []byte("SELECT 1")}, "migration failed, line 3: " + said.Error(), true},
		"no cause":  {&database.Error{Err: "migration failed", Query: []byte("SELECT 1")}, "migration failed", false},
	} {
		err := inWords(c.hidden)
		if err.Error() != c.want {
			t.Errorf("%s: it says %q, want %q", name, err, c.want)
		}
		var found *pgconn.PgError
		if errors.As(err, &found) != c.cause || (c.cause && found != said) {
			t.Errorf("%s: what was said is %v", name, found)
		}
	}
	for _, other := range []error{nil, ErrNewerSchema} {
		if err := inWords(other); !errors.Is(err, other) {
			t.Errorf("%v has become %v", other, err)
		}
	}
}
