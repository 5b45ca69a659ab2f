package deliverytest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// Verifier takes the tokens that Token makes. "unavailable" is one that it cannot judge.
type Verifier struct{}

// Verify implements what judges tokens.
func (Verifier) Verify(_ context.Context, raw string) (auth.Identity, error) {
	if raw == "unavailable" {
		return auth.Identity{}, auth.ErrUnavailable
	}
	parts := strings.Split(raw, "|")
	if len(parts) != 3 {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	ms, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	id := auth.Identity{UserID: parts[0], Role: domain.Role(parts[1]), ExpiresAt: time.UnixMilli(ms)}
	if !time.Now().Before(id.ExpiresAt) {
		return auth.Identity{}, auth.ErrTokenExpired
	}
	return id, nil
}

// Token is good for a while: USER|ROLE|EXPIRY in Unix milliseconds.
func Token(user string, role domain.Role, ttl time.Duration) string {
	return fmt.Sprintf("%s|%s|%d", user, role, time.Now().Add(ttl).UnixMilli())
}

// Orders that Rights knows.
var (
	Order1 = uuid.MustParse("11111111-1111-1111-1111-111111111111") // ann's
	Order2 = uuid.MustParse("22222222-2222-2222-2222-222222222222") // ann's
	Order3 = uuid.MustParse("33333333-3333-3333-3333-333333333333") // bob's

	// BrokenOrder is one whose rights cannot be told, as those of the delivery agent "broken".
	BrokenOrder = uuid.MustParse("00000000-0000-0000-0000-00000000dead")
)

// ErrDatabase is why rights cannot be told.
var ErrDatabase = errors.New("the database is away")

// Rights says who may follow what. It is safe for concurrent use, but for Since. They begin with ann's and bob's orders, which nobody carries.
type Rights struct {
	// Since is from when on customers may follow an agent.
	Since int64

	mu        sync.Mutex
	customers map[uuid.UUID]string
	agents    map[uuid.UUID]string // who carries an order
	onCheck   func()               // called when an answer is known but not given yet
}

// NewRights returns the rights of ann and bob.
func NewRights() *Rights {
	return &Rights{customers: map[uuid.UUID]string{Order1: "ann", Order2: "ann", Order3: "bob"}, agents: map[uuid.UUID]string{}}
}

// Assign gives an order to an agent; "" takes it from who has it.
func (r *Rights) Assign(order uuid.UUID, agent string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.agents[order] = agent
}

// BeforeAnswering has a function called whenever an answer is known but not given yet; nil: none.
func (r *Rights) BeforeAnswering(call func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onCheck = call
}

func (r *Rights) judge(judge func() (bool, error)) (bool, error) {
	r.mu.Lock()
	may, err := judge()
	call := r.onCheck
	r.mu.Unlock()
	if call != nil {
		call()
	}
	return may, err
}

// CanSeeOrder implements what says who may follow what.
func (r *Rights) CanSeeOrder(_ context.Context, user auth.Identity, id uuid.UUID) (bool, error) {
	return r.judge(func() (bool, error) {
		if id == BrokenOrder {
			return false, ErrDatabase
		}
		customer, ok := r.customers[id]
		if !ok {
			return false, domain.Errorf(domain.CodeNotFound, "there is no such order")
		}
		switch user.Role {
		case domain.RoleAdmin:
			return true, nil
		case domain.RoleDelivery:
			return r.agents[id] == user.UserID, nil
		}
		return customer == user.UserID, nil
	})
}

// CanSeeCourier implements it too.
func (r *Rights) CanSeeCourier(_ context.Context, user auth.Identity, agent string) (since int64, ok bool, err error) {
	ok, err = r.judge(func() (bool, error) {
		switch {
		case agent == "broken":
			return false, ErrDatabase
		case user.Role == domain.RoleAdmin:
			return true, nil
		case user.Role == domain.RoleDelivery:
			return user.UserID == agent, nil
		}
		for order, a := range r.agents {
			if a == agent && r.customers[order] == user.UserID {
				since = r.Since
				return true, nil
			}
		}
		return false, nil
	})
	return since, ok, err
}
