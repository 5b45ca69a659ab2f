// Package offer is the aggregate of an offer, a discount that customers use by its code, and the tallies of its uses.
//
// How often an offer was used is not in the offer's own stream, which would grow with every order: a tally is a stream
// of counts, and each of its events carries the count after it, so that the newest alone says whether one more is
// left. An order that uses an offer adds to the tallies in the same append, at the version it has read, and so two
// orders never take the same last use.
package offer

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// StreamType is the type of an offer's stream in the log; see [StreamID].
const StreamType = "offer"

// DiscountType is how a discount is reckoned.
type DiscountType string

// The types of the wire.
const (
	DiscountPercent DiscountType = "percent"
	DiscountAmount  DiscountType = "amount"
)

// Offer is the state of an offer, and what clients read of it.
type Offer struct {
	Terms
	Withdrawn bool      `json:"withdrawn"`
	Uses      int64     `json:"uses"` // by orders that were not cancelled; kept by the read model, not by the offer's stream
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	Version   int64     `json:"version"` // 0: does not exist
}

var namespace = uuid.MustParse("0b5e55e5-0000-4000-8000-0000000000f0")

// StreamID is the id of an offer's stream. Codes that differ only in case are the same offer.
func StreamID(code string) uuid.UUID {
	return uuid.NewSHA1(namespace, []byte(upper(code)))
}

// SameCode says whether two codes name the same offer.
func SameCode(a, b string) bool { return upper(a) == upper(b) }

// upper knows the letters of a code alone: no other letter becomes one of them.
func upper(code string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, code)
}

// Apply returns the state after an event that was recorded at a time. An event of another aggregate changes nothing.
// The state shares no memory with the event.
func (o Offer) Apply(e domain.Event, at time.Time) Offer {
	at = at.UTC()
	switch e := e.(type) {
	case Created:
		o.Terms, o.CreatedAt = e.own(), at
	case Updated:
		o.Terms = e.own()
	case Withdrawn:
		o.Withdrawn = true
	default:
		return o
	}
	o.UpdatedAt = at
	o.Version++
	return o
}

// Stamp fills in the times of a state whose last event was applied with the zero time.
func (o Offer) Stamp(at time.Time) Offer {
	o.UpdatedAt = at.UTC()
	if o.CreatedAt.IsZero() {
		o.CreatedAt = o.UpdatedAt
	}
	return o
}
