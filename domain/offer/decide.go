package offer

import (
	"strings"
	"time"

	"github.com/orderlog/orderlog/domain"
)

// The bounds of an offer's terms. Lengths are in characters.
const (
	minCode        = 2
	maxCode        = 64
	maxDescription = 500
	maxPercent     = 100
	maxUses        = 1_000_000_000

	codeLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
)

// Change asks to set the terms that are not nil. A bound of 0 removes the bound; a moment that points to nil removes
// the moment. The code of an offer never changes.
type Change struct {
	Description    *string
	DiscountType   *DiscountType
	DiscountValue  *int64
	MinOrder       *int64
	MaxDiscount    *int64
	MaxUses        *int64
	MaxUsesPerUser *int64
	StartsAt       **time.Time
	EndsAt         **time.Time
}

// Create decides on a new offer; the state must be that of none. A code is never used again, also not after its offer
// was withdrawn: orders that used it name it.
func (o Offer) Create(terms Terms) ([]domain.Event, error) {
	if err := terms.Validate(); err != nil {
		return nil, err
	}
	if o.Version > 0 {
		return nil, domain.Errorf(domain.CodeOfferExists, "offer %q exists already, or did: choose another code", o.Code).
			With("code", o.Code)
	}
	return []domain.Event{Created{terms.own()}}, nil
}

// Update decides on other terms. What was asked is recorded also where it is what was there, as of a product.
func (o Offer) Update(cmd Change) ([]domain.Event, error) {
	if err := o.checkExists(); err != nil {
		return nil, err
	}
	if o.Withdrawn {
		return nil, o.refuse(RuleWithdrawn, "was withdrawn and cannot change: make a new one with another code")
	}
	if cmd == (Change{}) {
		return nil, domain.Errorf(domain.CodeInvalidRequest, "nothing to change: give at least one of description, "+
			"discountType, discountValue, minOrder, maxDiscount, maxUses, maxUsesPerUser, startsAt, endsAt")
	}
	terms := o.Terms
	set(&terms.Description, cmd.Description)
	set(&terms.DiscountType, cmd.DiscountType)
	set(&terms.DiscountValue, cmd.DiscountValue)
	set(&terms.MinOrder, cmd.MinOrder)
	set(&terms.MaxDiscount, cmd.MaxDiscount)
	set(&terms.MaxUses, cmd.MaxUses)
	set(&terms.MaxUsesPerUser, cmd.MaxUsesPerUser)
	set(&terms.StartsAt, cmd.StartsAt)
	set(&terms.EndsAt, cmd.EndsAt)
	if err := terms.Validate(); err != nil {
		return nil, err
	}
	return []domain.Event{Updated{terms.own()}}, nil
}

// Withdraw decides that an offer can no longer be used. Withdrawing it again is no event.
func (o Offer) Withdraw() ([]domain.Event, error) {
	if err := o.checkExists(); err != nil {
		return nil, err
	}
	if o.Withdrawn {
		return nil, nil
	}
	return []domain.Event{Withdrawn{o.own()}}, nil
}

// Validate refuses terms that no offer can have.
func (t Terms) Validate() error {
	if err := domain.CheckText("code", t.Code, minCode, maxCode); err != nil {
		return err
	}
	if strings.Trim(t.Code, codeLetters) != "" {
		return domain.Invalid("code", "must be of the letters A to Z, digits, _ and -, such as WELCOME10")
	}
	if err := domain.CheckText("description", t.Description, 1, maxDescription); err != nil {
		return err
	}
	var highest int64
	switch t.DiscountType {
	case DiscountPercent:
		highest = maxPercent
	case DiscountAmount:
		highest = domain.MaxPrice
	default:
		return domain.Invalid("discountType", "must be one of percent, amount")
	}
	for _, c := range []struct {
		field                  string
		value, lowest, highest int64
	}{
		{"discountValue", t.DiscountValue, 1, highest},
		{"minOrder", t.MinOrder, 0, domain.MaxPrice},
		{"maxDiscount", t.MaxDiscount, 0, domain.MaxPrice},
		{"maxUses", t.MaxUses, 0, maxUses},
		{"maxUsesPerUser", t.MaxUsesPerUser, 0, maxUses},
	} {
		if c.value < c.lowest || c.value > c.highest {
			return domain.Invalid(c.field, "must be a whole number from %d to %d", c.lowest, c.highest)
		}
	}
	return t.validateTimes()
}

func (t Terms) validateTimes() error {
	for _, c := range []struct {
		field string
		at    *time.Time
	}{{"startsAt", t.StartsAt}, {"endsAt", t.EndsAt}} {
		// In UTC a year may be another, and one of five digits cannot be written as RFC 3339.
		if c.at != nil && (c.at.UTC().Year() < 1970 || c.at.UTC().Year() > 9999) {
			return domain.Invalid(c.field, "must be a time of the years 1970 to 9999")
		}
	}
	if t.StartsAt != nil && t.EndsAt != nil && !t.EndsAt.After(*t.StartsAt) {
		return domain.Invalid("endsAt", "must be after startsAt")
	}
	return nil
}

// own returns the terms with moments of their own, in UTC and without what only this process knows of them.
func (t Terms) own() Terms {
	for _, at := range []**time.Time{&t.StartsAt, &t.EndsAt} {
		if *at != nil {
			*at = new((*at).UTC().Round(0))
		}
	}
	return t
}

func (o Offer) checkExists() error {
	if o.Version == 0 {
		return domain.Errorf(domain.CodeOfferNotFound, "there is no such offer: list the offers to see those that are")
	}
	return nil
}

// refuse says which rule keeps an offer from being used or changed.
func (o Offer) refuse(rule, message string) *domain.Error {
	return domain.Errorf(domain.CodeOfferNotApplicable, "offer %q %s", o.Code, message).
		With("code", o.Code).With("rule", rule)
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}
