package sse

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/pgtest"
)

func asha(ttl time.Duration) auth.Identity {
	return auth.Identity{UserID: "asha", Role: domain.RoleCustomer, Name: "Asha", ExpiresAt: time.Now().Add(ttl).Truncate(time.Microsecond)}
}

func unauthenticated(t *testing.T, err error) {
	t.Helper()
	if domain.CodeOf(err) != domain.CodeUnauthenticated {
		t.Errorf("got %v", err)
	}
}

func TestTheStatementsAreValid(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for name, query := range map[string]string{"issue": issueTicketSQL, "redeem": redeemTicketSQL} {
		if _, err := conn.Conn().Prepare(t.Context(), name, query); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATicketSpeaksForItsUserOnce(t *testing.T) {
	t.Parallel()
	tickets, user := NewTickets(pgtest.Pool(t, pgtest.Database(t))), asha(time.Hour)
	ticket, expires, err := tickets.Issue(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(expires); left < 20*time.Second || left > 40*time.Second {
		t.Errorf("it may be used for %s", left)
	}
	if len(ticket) != 43 {
		t.Errorf("%q does not hold 256 bits", ticket)
	}
	another, _, err := tickets.Issue(t.Context(), user)
	if err != nil || another == ticket {
		t.Fatalf("got %q again, %v", another, err)
	}
	got, err := tickets.Redeem(t.Context(), ticket)
	if err != nil || got.UserID != user.UserID || got.Role != user.Role || got.Name != user.Name || !got.ExpiresAt.Equal(user.ExpiresAt) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, used := range []string{ticket, "", "x", another[:42], another + "A", another[:42] + "!"} {
		_, err = tickets.Redeem(t.Context(), used)
		unauthenticated(t, err)
	}
	if _, err = tickets.Redeem(t.Context(), another); err != nil {
		t.Errorf("the other one is gone: %v", err)
	}
}

func TestOfManyWhoBringATicketToTwoNodesOneWins(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	nodes := []*TicketBox{NewTickets(pgtest.Pool(t, url)), NewTickets(pgtest.Pool(t, url))}
	for range 20 {
		ticket, _, err := nodes[0].Issue(t.Context(), asha(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		outcomes := make([]error, 16)
		start := make(chan struct{})
		for i := range outcomes {
			all.Go(func() {
				<-start
				_, outcomes[i] = nodes[i%2].Redeem(context.WithoutCancel(t.Context()), ticket)
			})
		}
		close(start)
		all.Wait()
		won := 0
		for _, err := range outcomes {
			if err == nil {
				won++
			} else {
				unauthenticated(t, err)
			}
		}
		if won != 1 {
			t.Fatalf("%d got in", won)
		}
	}
}

// exec changes what is stored, as time would.
func exec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func stored(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM event_tickets").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestATicketHasItsTime(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	tickets := NewTickets(pool)
	ticket, _, err := tickets.Issue(t.Context(), asha(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	exec(t, pool, "UPDATE event_tickets SET expires_at = clock_timestamp()")
	_, err = tickets.Redeem(t.Context(), ticket)
	unauthenticated(t, err)

	// It does not outlive the token it was issued for.
	user := asha(5 * time.Second)
	ticket, expires, err := tickets.Issue(t.Context(), user)
	if err != nil || !expires.Equal(user.ExpiresAt) {
		t.Errorf("it may be used until %s, its token until %s: %v", expires, user.ExpiresAt, err)
	}
	exec(t, pool, "UPDATE event_tickets SET expires_at = expires_at - interval '5 seconds'")
	_, err = tickets.Redeem(t.Context(), ticket)
	unauthenticated(t, err)
}

func TestTicketsThatNobodyUsedAreClearedAway(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	tickets := NewTickets(pool)
	issue := func(n int) {
		for range n {
			if _, _, err := tickets.Issue(t.Context(), asha(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	issue(20)
	exec(t, pool, "UPDATE event_tickets SET expires_at = clock_timestamp() - interval '2 minutes'")
	issue(5)
	if n := stored(t, pool); n != 5 {
		t.Errorf("%d are left", n)
	}
}

func TestATicketIsNotStored(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	ticket, _, err := NewTickets(pool).Issue(t.Context(), asha(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var row string
	if err := pool.QueryRow(t.Context(), "SELECT event_tickets::text || encode(digest, 'escape') || encode(digest, 'base64') FROM event_tickets").Scan(&row); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(row, ticket) || strings.Contains(row, ticket[:20]) {
		t.Errorf("who reads the table has it: %s", row)
	}
}

func TestADatabaseThatIsAwaySaysNothingAgainstATicket(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	tickets := NewTickets(pool)
	ticket, _, err := tickets.Issue(t.Context(), asha(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := tickets.Redeem(gone, ticket); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, _, err := tickets.Issue(gone, asha(time.Hour)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := tickets.Redeem(t.Context(), ticket); err != nil {
		t.Errorf("it is used up: %v", err)
	}
}
