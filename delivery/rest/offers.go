package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/projections"
)

type offersInput struct {
	MinSeq
	Paging
	Withdrawn bool `query:"withdrawn" doc:"Also those that are withdrawn or over; for admins."`
}

// ByCode names the offer an operation is about.
type ByCode struct {
	Code string `path:"code" pattern:"^[A-Za-z0-9_-]{2,64}$" patternDescription:"an offer's code: 2 to 64 letters, digits, _ and -" doc:"In whatever case."`
}

type offerInput struct {
	ByCode
	MinSeq
}

type createOfferInput struct {
	Repeatable
	Body struct {
		Code           string     `json:"code" pattern:"^[A-Za-z0-9_-]{2,64}$" patternDescription:"2 to 64 letters, digits, _ and -" doc:"Codes that differ only in case are the same."`
		Description    string     `json:"description" minLength:"1" maxLength:"500"`
		DiscountType   string     `json:"discountType" enum:"percent,amount"`
		DiscountValue  int64      `json:"discountValue" minimum:"1" maximum:"10000000000" doc:"Per cent, 1 to 100, or minor units of the order's currency."`
		MinOrder       int64      `json:"minOrder,omitempty" minimum:"0" doc:"The least subtotal, in minor units; 0: none."`
		MaxDiscount    int64      `json:"maxDiscount,omitempty" minimum:"0" doc:"The most it takes off, in minor units; 0: no bound."`
		MaxUses        int64      `json:"maxUses,omitempty" minimum:"0" doc:"By all customers; 0: no bound."`
		MaxUsesPerUser int64      `json:"maxUsesPerUser,omitempty" minimum:"0" doc:"By one customer; 0: no bound."`
		StartsAt       *time.Time `json:"startsAt,omitempty" doc:"At once when absent."`
		EndsAt         *time.Time `json:"endsAt,omitempty" doc:"Never when absent."`
	}
}

type updateOfferInput struct {
	ByCode
	Repeatable
	Body struct {
		Description    *string  `json:"description,omitempty" minLength:"1" maxLength:"500"`
		DiscountType   *string  `json:"discountType,omitempty" enum:"percent,amount"`
		DiscountValue  *int64   `json:"discountValue,omitempty" minimum:"1" maximum:"10000000000" doc:"Per cent, 1 to 100, or minor units of the order's currency."`
		MinOrder       *int64   `json:"minOrder,omitempty" minimum:"0" doc:"The least subtotal, in minor units; 0: none."`
		MaxDiscount    *int64   `json:"maxDiscount,omitempty" minimum:"0" doc:"The most it takes off, in minor units; 0: no bound."`
		MaxUses        *int64   `json:"maxUses,omitempty" minimum:"0" doc:"By all customers; 0: no bound."`
		MaxUsesPerUser *int64   `json:"maxUsesPerUser,omitempty" minimum:"0" doc:"By one customer; 0: no bound."`
		StartsAt       newBound `json:"startsAt,omitempty" doc:"null: at once."`
		EndsAt         newBound `json:"endsAt,omitempty" doc:"null: never."`
	}
}

// newBound is a time that may be left as it is, set, or taken away with null.
type newBound struct {
	change **time.Time // nil: as it is
}

// UnmarshalJSON is called only when the field is there.
func (b *newBound) UnmarshalJSON(data []byte) error {
	var at *time.Time
	if err := json.Unmarshal(data, &at); err != nil {
		return err
	}
	b.change = &at
	return nil
}

// Schema is that of a time or null.
func (newBound) Schema(r huma.Registry) *huma.Schema {
	schema := r.Schema(reflect.TypeFor[time.Time](), true, "")
	schema.Nullable = true
	return schema
}

type withdrawOfferInput struct {
	ByCode
	Repeatable
}

type checkOfferInput struct {
	ByCode
	Body struct {
		Items []wantedItem `json:"items" minItems:"1" maxItems:"100" nullable:"false" doc:"Prices are the menu's."`
	}
}

const ruleFailed = "offer_not_applicable: the member rule says which rule failed: withdrawn, not_started, expired, min_order, max_uses or " +
	"max_uses_per_user, and a member of the rule's own its figure."

func (s *server) offers(api huma.API) {
	tags := []string{"Offers"}
	register(s, api, huma.Operation{
		OperationID: "list-offers", Method: http.MethodGet, Path: prefix + "/offers", Tags: tags,
		Summary: "The offers that are neither withdrawn nor over",
	}, everybody, s.listOffers)
	register(s, api, huma.Operation{
		OperationID: "get-offer", Method: http.MethodGet, Path: prefix + "/offers/{code}", Tags: tags,
		Summary: "An offer, withdrawn ones included",
	}, everybody, func(ctx context.Context, _ *call, in *offerInput) (*read[offer.Offer], error) {
		if err := s.wait(ctx, in.MinSeq, s.cfg.Views.WaitFor); err != nil {
			return nil, err
		}
		found, seq, err := s.cfg.Views.Offer(ctx, in.Code)
		return &read[offer.Offer]{Seq: seq, Body: found}, asOf(seq, err)
	})
	register(s, api, huma.Operation{
		OperationID: "create-offer", Method: http.MethodPost, Path: prefix + "/offers", Tags: tags,
		Summary: "Make an offer", DefaultStatus: http.StatusCreated,
		Responses: conflict("offer_exists: there is, or was, an offer of this code."),
	}, admins, s.createOffer)
	register(s, api, huma.Operation{
		OperationID: "update-offer", Method: http.MethodPatch, Path: prefix + "/offers/{code}", Tags: tags,
		Summary:     "Change what is given of an offer",
		Description: "Orders that used it keep their discount. The code stays.",
		Responses:   conflict("offer_not_applicable: it is withdrawn."),
	}, admins, s.updateOffer)
	register(s, api, huma.Operation{
		OperationID: "withdraw-offer", Method: http.MethodDelete, Path: prefix + "/offers/{code}", Tags: tags,
		Summary:     "Withdraw an offer for good",
		Description: "Answers the withdrawn offer: orders that used it keep their discount. Doing it again changes nothing.",
	}, admins, func(ctx context.Context, c *call, in *withdrawOfferInput) (*done[offer.Offer], error) {
		return answerOf(s.cfg.Commands.WithdrawOffer(ctx, c.request(), commands.WithdrawOffer{Code: in.Code}))
	})
	register(s, api, huma.Operation{
		OperationID: "check-offer", Method: http.MethodPost, Path: prefix + "/offers/{code}/check", Tags: tags,
		Summary:     "What an offer would take off an order of the caller's",
		Description: "Nothing is kept of it: an order is checked anew when it is placed. It needs no Idempotency-Key and looks at none.",
		Responses:   conflict(ruleFailed + " product_unavailable: one of the items cannot be ordered."),
	}, customers, func(ctx context.Context, c *call, in *checkOfferInput) (*read[commands.OfferCheck], error) {
		found, seq, err := s.cfg.Commands.CheckOffer(ctx, c.actor(), commands.CheckOffer{Code: in.Code, Items: orderItems(in.Body.Items)})
		return &read[commands.OfferCheck]{Seq: seq, Body: found}, err
	})
}

func (s *server) listOffers(ctx context.Context, c *call, in *offersInput) (*read[list[offer.Offer]], error) {
	if in.Withdrawn && (c.identity == nil || c.identity.Role != domain.RoleAdmin) {
		return nil, problem(domain.CodeForbidden, "withdrawn offers are listed for admins only: leave withdrawn out")
	}
	if err := s.wait(ctx, in.MinSeq, s.cfg.Views.WaitFor); err != nil {
		return nil, err
	}
	found, err := s.cfg.Views.Offers(ctx, projections.OfferQuery{IncludeWithdrawn: in.Withdrawn, Limit: in.Limit, After: in.Cursor})
	return listOf(found), err
}

func (s *server) createOffer(ctx context.Context, c *call, in *createOfferInput) (*done[offer.Offer], error) {
	out, err := answerOf(s.cfg.Commands.CreateOffer(ctx, c.request(), commands.CreateOffer{Terms: offer.Terms{
		Code: in.Body.Code, Description: in.Body.Description,
		DiscountType: offer.DiscountType(in.Body.DiscountType), DiscountValue: in.Body.DiscountValue,
		MinOrder: in.Body.MinOrder, MaxDiscount: in.Body.MaxDiscount, MaxUses: in.Body.MaxUses, MaxUsesPerUser: in.Body.MaxUsesPerUser,
		StartsAt: in.Body.StartsAt, EndsAt: in.Body.EndsAt,
	}}))
	if err != nil {
		return nil, err
	}
	out.Location = prefix + "/offers/" + out.Body.Code
	return out, nil
}

func (s *server) updateOffer(ctx context.Context, c *call, in *updateOfferInput) (*done[offer.Offer], error) {
	return answerOf(s.cfg.Commands.UpdateOffer(ctx, c.request(), commands.UpdateOffer{Code: in.Code, Change: offer.Change{
		Description: in.Body.Description, DiscountType: (*offer.DiscountType)(in.Body.DiscountType), DiscountValue: in.Body.DiscountValue,
		MinOrder: in.Body.MinOrder, MaxDiscount: in.Body.MaxDiscount, MaxUses: in.Body.MaxUses, MaxUsesPerUser: in.Body.MaxUsesPerUser,
		StartsAt: in.Body.StartsAt.change, EndsAt: in.Body.EndsAt.change,
	}}))
}
