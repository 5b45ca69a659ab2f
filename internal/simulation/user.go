package simulation

import (
	"sync"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// user is somebody who takes part. It is safe for concurrent use.
type user struct {
	id, name string
	role     domain.Role
	sign     func(auth.Identity) (string, error)

	mu      sync.Mutex
	token   string
	expires time.Time
}

const restTokenLife = time.Hour

// bearer is a token for REST that is good for some minutes at least.
func (u *user) bearer() (string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if time.Until(u.expires) > restTokenLife/10 {
		return u.token, nil
	}
	var err error
	u.token, u.expires, err = u.fresh(restTokenLife)
	return u.token, err
}

// fresh is a new token.
func (u *user) fresh(life time.Duration) (token string, expires time.Time, err error) {
	expires = time.Now().Add(life).Truncate(time.Second)
	token, err = u.sign(auth.Identity{UserID: u.id, Role: u.role, Name: u.name, ExpiresAt: expires})
	return token, expires, err
}
