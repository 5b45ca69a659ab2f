package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// outsideRole is not named as the application's role on purpose: the server may be one where that has a use and a password.
const outsideRole = "orderlog_test"

const oldestVersion = 150000

// outside makes a server of somebody else's ready: the one TEST_DATABASE_URL names.
func outside(ctx context.Context, address string) (*server, error) {
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return nil, fmt.Errorf("%s is not a postgres:// address", serverVariable)
	}
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", serverVariable, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var (
		superuser bool
		version   int
	)
	const look = `SELECT rolsuper, current_setting('server_version_num')::int FROM pg_roles WHERE rolname = current_user`
	if err := conn.QueryRow(ctx, look).Scan(&superuser, &version); err != nil {
		return nil, fmt.Errorf("look at the server of %s: %w", serverVariable, err)
	}
	if !superuser {
		return nil, errors.New(serverVariable + " must be a superuser's: tests make a role and databases, and some tamper with what a superuser alone can reach")
	}
	if version < oldestVersion {
		return nil, fmt.Errorf("%s is PostgreSQL %d, 15 or newer is needed", serverVariable, version/10000)
	}
	if err := makeOutsideRole(ctx, conn); err != nil {
		return nil, err
	}
	app := *u
	app.User = url.UserPassword(outsideRole, outsideRole)
	q := app.Query()
	for _, name := range []string{"user", "password", "dbname"} {
		q.Del(name)
	}
	app.RawQuery = q.Encode()
	return &server{Superuser: address, Application: app.String()}, nil
}

// makeOutsideRole runs under the lock, because test binaries start at once and CREATE ROLE has no IF NOT EXISTS.
func makeOutsideRole(ctx context.Context, conn *pgx.Conn) error {
	return locked(ctx, conn, func() error {
		var there bool
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, outsideRole).Scan(&there); err != nil {
			return fmt.Errorf("look for the tests' role: %w", err)
		}
		if there {
			return nil
		}
		_, err := conn.Exec(ctx, `CREATE ROLE `+outsideRole+` LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '`+outsideRole+`'`)
		if err != nil {
			return fmt.Errorf("make the tests' role: %w", err)
		}
		return nil
	})
}
