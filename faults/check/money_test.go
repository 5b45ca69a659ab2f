package check

import "testing"

func TestAnOfferIsUsedAsOftenAsItMayBe(t *testing.T) {
	t.Parallel()
	f, w := newFindings(), newWorld()
	r := newOfferRule(f)
	for _, e := range []*event{
		{seq: 1, typ: offerCreated, body: body{Code: "TWO", MaxUses: 2}},
		{seq: 2, typ: offerUseCounted, body: body{Code: "two", Scope: "all", Uses: 1}},
		{seq: 3, typ: offerUseCounted, body: body{Code: "TWO", Scope: "all", Uses: 2}},
		{seq: 4, typ: offerUseReturned, body: body{Code: "TWO", Scope: "all", Uses: 1}},
		{seq: 5, typ: offerUseCounted, body: body{Code: "TWO", Scope: "all", Uses: 2}},
	} {
		r.event(e, w)
		w.apply(e)
	}
	if f.broken != 0 {
		t.Errorf("two uses of two: %v", f.told())
	}
	if r.event(&event{seq: 6, typ: offerUseCounted, body: body{Code: "TWO", Scope: "all", Uses: 3}}, w); f.broken != 1 {
		t.Errorf("three uses of two: %v", f.told())
	}
}
