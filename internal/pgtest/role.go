package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Role makes a role that may do nothing but connect, and returns its address of a database and its name. It goes when the
// test ends, with what it was granted.
func Role(t testing.TB, databaseURL string) (address, role string) {
	t.Helper()
	id := uuid.New()
	role = fmt.Sprintf("orderlog_role_%x", id[:8])
	super := SuperuserURL(t, databaseURL)
	if _, err := Pool(t, super).Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD '"+role+"'"); err != nil {
		t.Fatalf("pgtest: make a role: %v", err)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		ctx, cancel := context.WithTimeout(context.Background(), dropAtMost)
		defer cancel()
		pool, err := pgxpool.New(ctx, super)
		if err == nil {
			defer pool.Close()
			_, err = pool.Exec(ctx, "DROP OWNED BY "+role+"; DROP ROLE "+role)
		}
		if err != nil {
			t.Errorf("pgtest: drop the test's role: %v", err)
		}
	})
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	u.User = url.UserPassword(role, role)
	if q := u.Query(); q.Has("user") {
		q.Set("user", role)
		u.RawQuery = q.Encode()
	}
	return u.String(), role
}
