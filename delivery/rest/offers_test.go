package rest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/projections"
)

func TestWhatOfferCommandsAreAsked(t *testing.T) {
	t.Parallel()
	from, to := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 31, 18, 30, 0, 0, time.UTC)
	full := offer.Terms{
		Code: "Half", Description: "Half off", DiscountType: offer.DiscountAmount, DiscountValue: 5000, MinOrder: 1, MaxDiscount: 2,
		MaxUses: 3, MaxUsesPerUser: 4, StartsAt: &from, EndsAt: &to,
	}
	zero, five := int64(0), int64(5)
	amount, words := offer.DiscountAmount, "More"
	set := func(at *time.Time) **time.Time { return &at }
	commandsAre(t, []asked{
		{"POST", "/offers", "admin", half, commands.CreateOffer{Terms: offer.Terms{
			Code: "HALF", Description: "Half off", DiscountType: offer.DiscountPercent, DiscountValue: 50,
		}}},
		{"POST", "/offers", "admin", `{"code":"Half","description":"Half off","discountType":"amount","discountValue":5000,"minOrder":1,"maxDiscount":2,
			"maxUses":3,"maxUsesPerUser":4,"startsAt":"2026-03-01T00:00:00Z","endsAt":"2026-03-31T18:30:00Z"}`, commands.CreateOffer{Terms: full}},
		{"POST", "/offers", "admin", strings.Replace(half, "{", `{"startsAt":null,"endsAt":null,`, 1), commands.CreateOffer{Terms: offer.Terms{
			Code: "HALF", Description: "Half off", DiscountType: offer.DiscountPercent, DiscountValue: 50,
		}}},
		{"PATCH", "/offers/half", "admin", `{}`, commands.UpdateOffer{Code: "half"}},
		{
			"PATCH", "/offers/HALF", "admin", `{"description":"More","discountType":"amount","discountValue":5,"minOrder":0,"maxDiscount":5,"maxUses":0,"maxUsesPerUser":5}`,
			commands.UpdateOffer{Code: "HALF", Change: offer.Change{
				Description: &words, DiscountType: &amount, DiscountValue: &five, MinOrder: &zero, MaxDiscount: &five, MaxUses: &zero, MaxUsesPerUser: &five,
			}},
		},
		{"PATCH", "/offers/HALF", "admin", `{"startsAt":"2026-03-01T00:00:00Z"}`, commands.UpdateOffer{Code: "HALF", Change: offer.Change{StartsAt: set(&from)}}},
		{"DELETE", "/offers/HALF", "admin", ``, commands.WithdrawOffer{Code: "HALF"}},
		{"POST", "/offers/HALF/check", "asha", basket, commands.CheckOffer{
			Code: "HALF", Items: []commands.OrderItem{{Product: productID.String(), Quantity: 2}},
		}},
	})
}

// A bound that is not there stays as it is, and null takes it away: JSON tells the two apart, and so must what is asked.
func TestABoundIsLeftOrSetOrTakenAway(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 6, 30, 0, 0, time.UTC)
	for body, want := range map[string]string{
		`{"maxUses":1}`:                                                       "left left",
		`{"startsAt":null}`:                                                   "taken away left",
		`{"startsAt":null,"endsAt":null}`:                                     "taken away taken away",
		`{"endsAt":"2026-03-01T12:00:00+05:30"}`:                              "left set",
		`{"startsAt":"2026-03-01T06:30:00Z","endsAt":null}`:                   "set taken away",
		`{"startsAt":"2026-03-01T06:30:00Z","endsAt":"2026-03-01T06:30:00Z"}`: "set set",
	} {
		w := newWorld()
		if got := ask(t, w.handler(t), "PATCH", prefix+"/offers/HALF", "admin", body); got.status != 200 {
			t.Fatalf("got %d: %s", got.status, got.text)
		}
		cmd, _ := w.cmds[0].(commands.UpdateOffer)
		say := func(b **time.Time) string {
			switch {
			case b == nil:
				return "left"
			case *b == nil:
				return "taken away"
			case (*b).Equal(at):
				return "set"
			}
			return "set to another time"
		}
		if got := say(cmd.Change.StartsAt) + " " + say(cmd.Change.EndsAt); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

func TestTheDescriptionSaysThatNullTakesABoundAway(t *testing.T) {
	t.Parallel()
	var spec struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]struct{ Type any } }
		}
	}
	if err := json.Unmarshal([]byte(ask(t, newWorld().handler(t), "GET", "/openapi.json", "").text), &spec); err != nil {
		t.Fatal(err)
	}
	fields := spec.Components.Schemas["UpdateOfferInputBody"].Properties
	if !reflect.DeepEqual(fields["startsAt"].Type, []any{"string", "null"}) || !reflect.DeepEqual(fields["endsAt"].Type, []any{"string", "null"}) {
		t.Errorf("startsAt %v, endsAt %v", fields["startsAt"].Type, fields["endsAt"].Type)
	}
	if fields["description"].Type != "string" {
		t.Errorf("description %v", fields["description"].Type)
	}
}

func TestOfferRequestsThatAreNotValid(t *testing.T) {
	t.Parallel()
	change := func(from, to string) string { return strings.Replace(half, from, to, 1) }
	with := func(field string) string { return change("{", "{"+field+",") }
	const one, check = "/offers/HALF", "/offers/HALF/check"
	refusals(t, []invalid{
		{"POST", "/offers", "admin", change(`"code":"HALF",`, ""), "body"},
		{"POST", "/offers", "admin", change("HALF", "H"), "body.code"},
		{"POST", "/offers", "admin", change("HALF", strings.Repeat("H", 65)), "body.code"},
		{"POST", "/offers", "admin", change("HALF", "HALF OFF"), "body.code"},
		{"POST", "/offers", "admin", change("HALF", "ÉTÉ"), "body.code"},
		{"POST", "/offers", "admin", change("percent", "gift"), "body.discountType"},
		{"POST", "/offers", "admin", change("50", "0"), "body.discountValue"},
		{"POST", "/offers", "admin", change("50", "-50"), "body.discountValue"},
		{"POST", "/offers", "admin", change("50", "12.5"), "body.discountValue"},
		{"POST", "/offers", "admin", change("50", `"50"`), "body.discountValue"},
		{"POST", "/offers", "admin", change("50", "1e30"), "body.discountValue"},
		{"POST", "/offers", "admin", with(`"minOrder":-1`), "body.minOrder"},
		{"POST", "/offers", "admin", with(`"maxDiscount":-1`), "body.maxDiscount"},
		{"POST", "/offers", "admin", with(`"maxUses":-1`), "body.maxUses"},
		{"POST", "/offers", "admin", with(`"maxUsesPerUser":1.5`), "body.maxUsesPerUser"},
		{"POST", "/offers", "admin", with(`"startsAt":"soon"`), "body.startsAt"},
		{"POST", "/offers", "admin", with(`"endsAt":1767225600`), "body.endsAt"},
		{"PATCH", one, "admin", ``, ""},
		{"PATCH", one, "admin", `null`, "body"},
		{"PATCH", one, "admin", `{"discountValue":0}`, "body.discountValue"},
		{"PATCH", one, "admin", `{"maxUses":-1}`, "body.maxUses"},
		{"PATCH", one, "admin", `{"startsAt":"2026-02-30T00:00:00Z"}`, "body.startsAt"},
		{"PATCH", one, "admin", `{"endsAt":"2026-03-01"}`, "body.endsAt"},
		{"PATCH", one, "admin", `{"endsAt":false}`, "body.endsAt"},
		{"PATCH", "/offers/H", "admin", `{}`, "path.code"},
		{"DELETE", "/offers/" + strings.Repeat("H", 65), "admin", ``, "path.code"},
		{"GET", "/offers/a%00b", "", ``, "path.code"},
		{"GET", "/offers/%ff%fe", "", ``, "path.code"},
		{"GET", "/offers?limit=0", "", ``, "query.limit"},
		{"GET", "/offers?withdrawn=maybe", "admin", ``, "query.withdrawn"},
		{"POST", check, "asha", `{"items":[]}`, "body.items"},
		{"POST", check, "asha", `{"items":null}`, "body.items"},
		{"POST", check, "asha", strings.Replace(basket, ":2}", ":-2}", 1), "body.items[0].quantity"},
		{"POST", check, "asha", strings.Replace(basket, ":2}", ":1000}", 1), "body.items[0].quantity"},
		{"POST", check, "asha", strings.Replace(basket, productID.String(), "dosa", 1), "body.items[0].product"},
	})
}

func TestTheOffers(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t)
	got := ask(t, h, "GET", prefix+"/offers", "")
	if items, _ := got.body["items"].([]any); len(items) != 1 || got.header.Get("X-Seq") != "42" {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	ask(t, h, "GET", prefix+"/offers?withdrawn=true&limit=3&cursor=c", "admin")
	for i, want := range []projections.OfferQuery{{Limit: 50}, {IncludeWithdrawn: true, Limit: 3, After: "c"}} {
		if w.queries[i] != want {
			t.Errorf("asked for %+v, want %+v", w.queries[i], want)
		}
	}
	if got := ask(t, h, "GET", prefix+"/offers/half", ""); got.status != 200 || got.body["code"] != "HALF" {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	refused(t, ask(t, h, "GET", prefix+"/offers/NONE", ""), 404, "offer_not_found")
}

func TestAnOfferIsFoundWhereItsAnswerSays(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	made := ask(t, h, "POST", prefix+"/offers", "admin", half)
	if made.status != 201 || made.header.Get("Location") != prefix+"/offers/HALF" {
		t.Fatalf("got %d %v: %s", made.status, made.header, made.text)
	}
	if read := ask(t, h, "GET", made.header.Get("Location"), ""); read.status != 200 {
		t.Errorf("got %d: %s", read.status, read.text)
	}
	if gone := ask(t, h, "DELETE", prefix+"/offers/HALF", "admin"); gone.status != 200 || gone.body["withdrawn"] != true {
		t.Errorf("got %d: %s", gone.status, gone.text)
	}
}

func TestCheckingAnOffer(t *testing.T) {
	t.Parallel()
	w := newWorld()
	path := prefix + "/offers/HALF/check"
	got := ask(t, w.handler(t), "POST", path, "asha", basket)
	if got.status != 200 || got.header.Get("X-Seq") != "50" ||
		strings.TrimSpace(got.text) != `{"code":"HALF","subtotal":900,"discount":450,"totalAmount":450,"currency":"INR"}` {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	if actor := w.requests[0].Actor; actor != (domain.Actor{UserID: "asha", Role: domain.RoleCustomer, Name: "Asha"}) {
		t.Errorf("asked by %+v", actor)
	}
	w.fail = domain.Errorf(domain.CodeOfferNotApplicable, "from 1000 on").With("rule", "min_order").With("minOrder", 1000)
	got = ask(t, w.handler(t), "POST", path, "asha", basket)
	refused(t, got, 409, "offer_not_applicable")
	if got.body["rule"] != "min_order" || got.body["minOrder"] != 1000.0 {
		t.Errorf("the rule is not told: %s", got.text)
	}
}
