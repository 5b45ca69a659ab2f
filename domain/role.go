package domain

import "fmt"

// Role says what a user may do. Its values are those of a token's role claim.
type Role string

// The roles a token can carry. A courier's role is "delivery" on the wire.
const (
	RoleCustomer Role = "customer"
	RoleAdmin    Role = "admin"
	RoleDelivery Role = "delivery"
)

// RoleSystem is the role of what the program does by itself, or because a partner's signed message asked for it.
// No token carries it: ParseRole does not know it.
const RoleSystem Role = "system"

// ParseRole returns the role named s. Any other name is an error, never a default.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case RoleCustomer, RoleAdmin, RoleDelivery:
		return r, nil
	}
	return "", fmt.Errorf("unknown role %q: use customer, admin or delivery", s)
}

// Actor is who asks for something, as the token says.
type Actor struct {
	UserID string
	Role   Role
	Name   string // may be empty
}
