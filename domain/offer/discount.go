package offer

import (
	"fmt"
	"time"
)

// The rules of an offer, as the detail "rule" of an offer_not_applicable names them.
const (
	RuleWithdrawn      = "withdrawn"
	RuleNotStarted     = "not_started"
	RuleExpired        = "expired"
	RuleMinOrder       = "min_order"
	RuleMaxUses        = "max_uses"
	RuleMaxUsesPerUser = "max_uses_per_user"
)

// Discount returns what the offer takes off a subtotal, in minor units, from 0 to the subtotal; or it refuses, naming
// the rule that fails. all is the tally of all customers, own that of the one who orders. The offer begins at StartsAt
// and is over at EndsAt.
func (o Offer) Discount(subtotal int64, now time.Time, all, own Tally) (int64, error) {
	if err := o.checkExists(); err != nil {
		return 0, err
	}
	if subtotal < 0 {
		return 0, fmt.Errorf("discount of offer %q on a subtotal of %d", o.Code, subtotal)
	}
	switch {
	case o.Withdrawn:
		return 0, o.refuse(RuleWithdrawn, "was withdrawn: order without it")
	case o.StartsAt != nil && now.Before(*o.StartsAt):
		return 0, o.refuse(RuleNotStarted, "has not begun: order without it, or come back at "+o.StartsAt.Format(time.RFC3339)).
			With("startsAt", *o.StartsAt)
	case o.EndsAt != nil && !now.Before(*o.EndsAt):
		return 0, o.refuse(RuleExpired, "is over: order without it").With("endsAt", *o.EndsAt)
	case subtotal < o.MinOrder:
		return 0, o.refuse(RuleMinOrder, fmt.Sprintf("is for orders of %d minor units and more: order more, or without it", o.MinOrder)).
			With("minOrder", o.MinOrder).With("subtotal", subtotal)
	case o.MaxUses > 0 && all.Uses >= o.MaxUses:
		return 0, o.refuse(RuleMaxUses, "is used up: order without it").With("maxUses", o.MaxUses)
	case o.MaxUsesPerUser > 0 && own.Uses >= o.MaxUsesPerUser:
		return 0, o.refuse(RuleMaxUsesPerUser, fmt.Sprintf("can be used %d times by each customer, and you have: order without it", o.MaxUsesPerUser)).
			With("maxUsesPerUser", o.MaxUsesPerUser)
	}
	return o.takeOff(subtotal), nil
}

func (o Offer) takeOff(subtotal int64) int64 {
	off := o.DiscountValue
	if o.DiscountType == DiscountPercent {
		// Whole hundreds and the rest apart: no product is larger than the subtotal or than 100 × 99.
		off = subtotal/100*o.DiscountValue + subtotal%100*o.DiscountValue/100
	}
	if o.MaxDiscount > 0 {
		off = min(off, o.MaxDiscount)
	}
	return min(off, subtotal)
}
