package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
)

// neverConnects is the error of a pool whose connections get as far as AfterConnect and no further, or not even there.
func neverConnects(t *testing.T, afterConnect error) error {
	t.Helper()
	cfg, err := pgconn.ParseConfig("postgres://nobody@database/orderlog?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"192.0.2.1"}, nil }
	server, client := net.Pipe()
	t.Cleanup(func() { _ = server.Close() })
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) { return client, nil }
	go func() {
		_, _ = server.Read(make([]byte, 1024))
		_, _ = server.Write([]byte("R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I")) // let in, and ready
		_, _ = io.Copy(io.Discard, server)
	}()
	cfg.AfterConnect = func(context.Context, *pgconn.PgConn) error { return afterConnect }
	if _, err = pgconn.ConnectConfig(t.Context(), cfg); err == nil {
		t.Fatal("it did connect")
	}
	return err
}

// closedPool is the error of a node's pool when the node stops.
func closedPool(t *testing.T) error {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/orderlog")
	if err != nil {
		t.Fatal(err)
	}
	pool.Close()
	_, err = pool.Exec(t.Context(), "SELECT 1")
	return err
}

func TestWhoCannotReachTheDatabaseIsUnavailableAndNotBroken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want domain.Code
	}{
		"a connection closed while it is made ready": {neverConnects(t, pgconn.ErrConnClosed), domain.CodeUnavailable},
		"a connection that is refused on the way":    {neverConnects(t, errors.New("not the one we want")), domain.CodeUnavailable},
		"a connection that was closed before":        {fmt.Errorf("failed to deallocate cached statement(s): %w", pgconn.ErrConnClosed), domain.CodeUnavailable},
		"a statement that finds it closed":           {fmt.Errorf("prepare: %w", pgconn.ErrConnClosed), domain.CodeUnavailable},
		"a pool that is closed":                      {closedPool(t), domain.CodeUnavailable},
		"nobody listens":                             {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, domain.CodeUnavailable},
		"no such host":                               {&net.DNSError{Err: "no such host", Name: "database"}, domain.CodeUnavailable},
		"a connection reset":                         {os.NewSyscallError("read", syscall.ECONNRESET), domain.CodeUnavailable},
		"an answer broken off":                       {io.ErrUnexpectedEOF, domain.CodeUnavailable},
		"an end instead of an answer":                {io.EOF, domain.CodeUnavailable},
		"a deadline":                                 {context.DeadlineExceeded, domain.CodeUnavailable},
		"given up by another who waits for it":       {context.Canceled, domain.CodeUnavailable},
		"PostgreSQL starts":                          {&pgconn.PgError{Code: "57P03"}, domain.CodeUnavailable},
		"PostgreSQL recovers from a crash":           {&pgconn.PgError{Code: "57P02"}, domain.CodeUnavailable},
		"no connection is left":                      {&pgconn.PgError{Code: "53300"}, domain.CodeUnavailable},
		"the disk is full":                           {&pgconn.PgError{Code: "53100"}, domain.CodeUnavailable},
		"a session that said nothing for too long":   {&pgconn.PgError{Code: "25P03"}, domain.CodeUnavailable},

		"a statement that is wrong":  {&pgconn.PgError{Code: "42601"}, domain.CodeInternal},
		"a value that is wrong":      {&pgconn.PgError{Code: "22P02"}, domain.CodeInternal},
		"a row that should be there": {pgx.ErrNoRows, domain.CodeInternal},
		"a mistake":                  {errors.New("conn closed, or so it seems"), domain.CodeInternal},
	} {
		p, logged := asProblem(fmt.Errorf("store a ticket: %w", tc.err), "POST")
		if p.Code != tc.want || !logged {
			t.Errorf("%s (%v) is answered as %s, logged %t", name, tc.err, p.Code, logged)
		}
	}
}
