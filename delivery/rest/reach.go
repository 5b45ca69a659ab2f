package rest

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
)

// outOfReach says that an error is about the way to the database or about time, and not about the request: connections
// that cannot be made, fail or break, PostgreSQL shutting down, starting or full, or ending a session that said nothing,
// deadlines, work that was given up, and a pool that is closed because the node stops.
func outOfReach(err error) bool {
	var (
		network   net.Error
		connect   *pgconn.ConnectError // whatever it was that went wrong on the way
		transient = []error{
			context.DeadlineExceeded, context.Canceled, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, pgconn.ErrConnClosed, puddle.ErrClosedPool,
		}
	)
	if errors.As(err, &network) || errors.As(err, &connect) {
		return true
	}
	for _, t := range transient {
		if errors.Is(err, t) {
			return true
		}
	}
	var postgres interface{ SQLState() string }
	if !errors.As(err, &postgres) {
		return false
	}
	state := postgres.SQLState()
	return strings.HasPrefix(state, "08") || strings.HasPrefix(state, "53") || strings.HasPrefix(state, "57P") || state == "25P03"
}
