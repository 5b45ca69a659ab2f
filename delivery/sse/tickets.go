package sse

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// TicketLifetime is how long a ticket may be used after it was issued, by the clock of the database.
const TicketLifetime = 30 * time.Second

// ticketBytes is how much of a ticket is random.
const ticketBytes = 32

// ticketLength is how many characters a ticket has.
var ticketLength = base64.RawURLEncoding.EncodedLen(ticketBytes)

// Tickets turn into whom they were issued to, once.
type Tickets interface {
	// Redeem uses a ticket up. One that is not known, was used or is too old is a *domain.Error unauthenticated.
	Redeem(ctx context.Context, ticket string) (auth.Identity, error)
}

// TicketBox keeps tickets in the database: one that any node issued opens one stream, on any node. A ticket is 256
// random bits, of which only the SHA-256 is stored, so that who reads the table opens nothing. It speaks for its user
// no longer than the token did that it was issued for. It is safe for concurrent use.
type TicketBox struct{ pool *pgxpool.Pool }

// NewTickets returns the tickets of a database.
func NewTickets(pool *pgxpool.Pool) *TicketBox { return &TicketBox{pool} }

const (
	// Some of the tickets that nobody used are cleared away beside each new one: more than are added, and none that
	// another node is clearing away.
	issueTicketSQL = `
WITH stale AS (
	SELECT digest FROM event_tickets WHERE expires_at < clock_timestamp() - interval '1 minute'
	ORDER BY expires_at LIMIT 8 FOR UPDATE SKIP LOCKED
), cleared AS (
	DELETE FROM event_tickets WHERE digest IN (SELECT digest FROM stale)
)
INSERT INTO event_tickets (digest, user_id, role, name, token_expires_at, expires_at)
VALUES ($1, $2, $3, $4, $5, least($5, clock_timestamp() + $6::interval))
RETURNING expires_at`

	// Of several who bring the same ticket one deletes its row; the others wait for that, and find none.
	redeemTicketSQL = `
DELETE FROM event_tickets WHERE digest = $1 AND expires_at > clock_timestamp()
RETURNING user_id, role, name, token_expires_at`
)

// Issue makes a ticket for a user. It may be used until expires, which is TicketLifetime from now or when the user's
// token expires.
func (t *TicketBox) Issue(ctx context.Context, user auth.Identity) (ticket string, expires time.Time, _ error) {
	random := make([]byte, ticketBytes)
	_, _ = rand.Read(random) // never fails
	ticket = base64.RawURLEncoding.EncodeToString(random)
	digest := sha256.Sum256([]byte(ticket))
	err := t.pool.QueryRow(ctx, issueTicketSQL,
		digest[:], user.UserID, string(user.Role), user.Name, user.ExpiresAt, TicketLifetime).Scan(&expires)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("store a ticket: %w", err)
	}
	return ticket, expires.UTC(), nil
}

// Redeem uses a ticket up and returns whom it was issued to.
func (t *TicketBox) Redeem(ctx context.Context, ticket string) (auth.Identity, error) {
	if len(ticket) != ticketLength {
		return auth.Identity{}, errTicket()
	}
	var user auth.Identity
	digest := sha256.Sum256([]byte(ticket))
	err := t.pool.QueryRow(ctx, redeemTicketSQL, digest[:]).Scan(&user.UserID, &user.Role, &user.Name, &user.ExpiresAt)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return auth.Identity{}, errTicket()
	case err != nil:
		return auth.Identity{}, fmt.Errorf("redeem a ticket: %w", err)
	}
	return user, nil
}

func errTicket() error {
	return domain.Errorf(domain.CodeUnauthenticated,
		"the ticket is not known, was used or is older than %d s: get a new one by POST /api/v1/events/ticket",
		int(TicketLifetime.Seconds()))
}
