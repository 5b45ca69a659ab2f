package projections_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/projections"
)

func (w *world) offer(t *testing.T, events ...domain.Event) int64 {
	t.Helper()
	var code string
	switch e := events[0].(type) {
	case offer.Created:
		code = e.Code
	case offer.Updated:
		code = e.Code
	case offer.Withdrawn:
		code = e.Code
	}
	return w.append(t, offer.StreamType, offer.StreamID(code), events...)
}

// use appends the count of one of an offer's tallies.
func (w *world) use(t *testing.T, code string, scope offer.Scope, uses int64) int64 {
	t.Helper()
	customer := ""
	if scope == offer.ScopeCustomer {
		customer = "ann"
	}
	return w.append(t, offer.TallyStreamType, offer.TallyID(code, customer),
		offer.Counted{Code: code, Scope: scope, CustomerID: "ann", OrderID: uuid.New(), Uses: uses})
}

func terms(code string, endsAt *time.Time) offer.Terms {
	return offer.Terms{Code: code, Description: "Ten off", DiscountType: offer.DiscountPercent, DiscountValue: 10, EndsAt: endsAt}
}

func TestAnOfferIsShownWithItsUses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)
	w.offer(t, offer.Created{Terms: terms("Ten", nil)})
	w.offer(t, offer.Created{Terms: terms("OTHER", nil)})
	for i := range int64(3) {
		w.use(t, "Ten", offer.ScopeAll, i+1)
		w.use(t, "Ten", offer.ScopeCustomer, i+11)
	}
	w.use(t, "OTHER", offer.ScopeAll, 7)
	w.use(t, "OTHER", offer.ScopeCustomer, 4)
	w.append(t, offer.TallyStreamType, offer.TallyID("Ten", ""), offer.Returned{Code: "Ten", Scope: offer.ScopeAll, Uses: 2})
	w.append(t, offer.TallyStreamType, offer.TallyID("Ten", "ann"), offer.Returned{Code: "Ten", Scope: offer.ScopeCustomer, Uses: 12})
	changed := terms("Ten", nil)
	changed.DiscountValue = 15
	last := w.offer(t, offer.Updated{Terms: changed})
	if err := views.WaitFor(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	o, seq, err := views.Offer(t.Context(), "TEN")
	if err != nil || seq != last || o.Code != "Ten" || o.DiscountValue != 15 || o.Uses != 2 || o.Version != 2 {
		t.Errorf("the offer is %+v at %d, %v", o, seq, err)
	}
	page, err := views.Offers(t.Context(), projections.OfferQuery{Limit: 5})
	if err != nil || len(page.Items) != 2 || page.Items[0].Uses != 7 || page.Items[1].Uses != 2 {
		t.Errorf("listed are %+v, %v", page.Items, err)
	}
	if _, _, err := views.Offer(t.Context(), "none"); domain.CodeOf(err) != domain.CodeOfferNotFound {
		t.Errorf("an offer that is not there: %v", err)
	}
}

func TestOffersThatAreOverAreListedOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)
	past, future := time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	w.offer(t, offer.Created{Terms: terms("FOREVER", nil)})
	w.offer(t, offer.Created{Terms: terms("ENDED", &past)})
	w.offer(t, offer.Created{Terms: terms("GONE", nil)})
	w.offer(t, offer.Created{Terms: terms("LONGER", &past)})
	w.offer(t, offer.Created{Terms: terms("SHORTER", &future)})
	w.waitFor(t, w.offer(t, offer.Created{Terms: terms("SOON", &future)})) // so that what follows changes rows that are there
	w.offer(t, offer.Withdrawn{Terms: terms("GONE", nil)})
	w.offer(t, offer.Updated{Terms: terms("LONGER", &future)})
	last := w.offer(t, offer.Updated{Terms: terms("SHORTER", &past)})
	if err := views.WaitFor(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	codes := func(q projections.OfferQuery) string {
		var codes []string
		for {
			page, err := views.Offers(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Items {
				codes = append(codes, o.Code)
			}
			if q.After = page.Next; q.After == "" {
				return strings.Join(codes, " ")
			}
			// Between the pages: it is newer than all of them.
			last := w.offer(t, offer.Created{Terms: terms("NEW-"+uuid.NewString(), nil)})
			if err := views.WaitFor(t.Context(), last); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := codes(projections.OfferQuery{Limit: 2}); got != "SOON LONGER FOREVER" {
		t.Errorf("listed are %s", got)
	}
	if got := codes(projections.OfferQuery{Limit: 10, IncludeWithdrawn: true}); !strings.HasSuffix(got, "SOON SHORTER LONGER GONE ENDED FOREVER") {
		t.Errorf("all are %s", got)
	}
	if o, _, err := views.Offer(t.Context(), "GONE"); err != nil || !o.Withdrawn {
		t.Errorf("one that was withdrawn is %+v, %v", o, err)
	}
	if _, err := views.Offers(t.Context(), projections.OfferQuery{Limit: 1, After: "?"}); domain.CodeOf(err) != domain.CodeInvalidRequest {
		t.Errorf("a cursor that is none: %v", err)
	}
}

func TestAUseOfAnOfferThatIsNotThereStopsTheViews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runner := projections.NewRunner(w.pool, nil, slog.New(slog.DiscardHandler),
		projections.ViewsGroup(w.pool))
	w.offer(t, offer.Created{Terms: terms("TEN", nil)})
	w.use(t, "NINE", offer.ScopeAll, 1)
	parttest.Run(t, runner.Run)
	parttest.Eventually(t, "the alarm", func() bool {
		s := runner.Status()[0]
		return s.FailedSeq == 2 && strings.Contains(s.LastError, "does not follow the log")
	})
}
