package commands_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
)

func TestWhoMayFollowAnOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	fresh := s.placed()
	for who, c := range map[string]struct {
		actor commands.Actor
		may   bool
	}{
		"its customer":              {customer, true},
		"another customer":          {stranger, false},
		"an admin":                  {admin, true},
		"a courier it is not given": {raj, false},
		"a courier without a name":  {commands.Actor{Role: domain.RoleDelivery}, false},
		"nobody with a known role":  {commands.Actor{UserID: "c1"}, false},
	} {
		if may, err := s.MayFollow(t.Context(), c.actor, fresh.ID); may != c.may || err != nil {
			t.Errorf("%s may follow an order: %v, %v", who, may, err)
		}
	}
	if _, err := s.MayFollow(t.Context(), admin, uuid.New()); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("an order that is not there: %v", err)
	}
}
