package peer

import (
	"context"
	"fmt"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// Who connects says who they are with a token that is signed, and every server that knows users verifies it, in the same
// way.
const secret = "a secret for benchmarks, 32 bytes or more"

// Token is a user's, good for longer than a run is.
func Token(user int, role domain.Role) string {
	token, err := auth.Sign([]byte(secret), auth.Identity{UserID: User(user), Role: role, ExpiresAt: time.Now().Add(12 * time.Hour)})
	if err != nil {
		panic(fmt.Sprintf("no token for user %d: %v", user, err)) // only an identity that is none has none
	}
	return token
}

// Verifier verifies tokens.
func Verifier(ctx context.Context) (*auth.Verifier, error) {
	return auth.New(ctx, auth.Config{Secret: []byte(secret)})
}
