package main

import (
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderlog/orderlog/migrations"
)

// A database that goes away while a node prepares it comes back; a schema that is too new does not get older.
func TestANodeWaitsForWhatPassesAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		pass bool
	}{
		"the server ends":            {&pgconn.PgError{Code: "57P01"}, true},
		"it is full":                 {&pgconn.PgError{Code: "53300"}, true},
		"the password is wrong":      {&pgconn.PgError{Code: "28P01"}, false},
		"the connection was cut":     {io.ErrUnexpectedEOF, true},
		"the connection was no more": {sqldriver.ErrBadConn, true},
		"the network":                {&net.OpError{Op: "dial", Err: errors.New("refused")}, true},
		"a newer schema":             {migrations.ErrNewerSchema, false},
		"a migration that is wrong":  {&pgconn.PgError{Code: "42601"}, false},
	} {
		if got := mayPass(fmt.Errorf("prepare the database: %w", c.err)); got != c.pass {
			t.Errorf("%s: it may pass: %t", name, got)
		}
	}
}
