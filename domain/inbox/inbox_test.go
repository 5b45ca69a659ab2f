package inbox_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/inbox"
)

type decision = func(inbox.Entry) ([]domain.Event, error)

var (
	id      = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000d")
	orderID = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000a")
	read    = inbox.Read{ID: id, UserID: "c1"}
)

func entered() inbox.Entered {
	return inbox.Entered{ID: id, UserID: "c1", Title: "Order placed", Message: "We have your order", Type: "order", OrderID: new(orderID)}
}

func given(t *testing.T, events ...domain.Event) *domaintest.Scenario[inbox.Entry] {
	t.Helper()
	return domaintest.Given[inbox.Entry](t, events...)
}

func enter(change func(*inbox.Entered)) decision {
	e := entered()
	change(&e)
	return func(n inbox.Entry) ([]domain.Event, error) { return n.Enter(e) }
}

func markRead(by string) decision {
	return func(n inbox.Entry) ([]domain.Event, error) { return n.MarkRead(by) }
}

func TestEntering(t *testing.T) {
	t.Parallel()
	given(t).When(enter(func(*inbox.Entered) {})).Then(entered())
	given(t).When(enter(func(e *inbox.Entered) { e.OrderID = nil })).
		Then(inbox.Entered{ID: id, UserID: "c1", Title: "Order placed", Message: "We have your order", Type: "order"})
	given(t, entered()).When(enter(func(*inbox.Entered) {})).ThenError(domain.CodeVersionConflict)
}

func TestAnEntryIsBounded(t *testing.T) {
	t.Parallel()
	set := map[string]func(*inbox.Entered, string){
		"userId":  func(e *inbox.Entered, s string) { e.UserID = s },
		"title":   func(e *inbox.Entered, s string) { e.Title = s },
		"message": func(e *inbox.Entered, s string) { e.Message = s },
		"type":    func(e *inbox.Entered, s string) { e.Type = s },
	}
	for field, longest := range map[string]int{"userId": 128, "title": 200, "message": 2000, "type": 50} {
		for _, s := range []string{"", " ", "a\x00", "a\xff", strings.Repeat("a", longest+1)} {
			given(t).When(enter(func(e *inbox.Entered) { set[field](e, s) })).ThenInvalid(field)
		}
		want := entered()
		set[field](&want, strings.Repeat("a", longest))
		given(t).When(enter(func(e *inbox.Entered) { set[field](e, strings.Repeat("a", longest)) })).Then(want)
	}
	for _, s := range []string{"Order", "order news", "é", "a.b"} {
		given(t).When(enter(func(e *inbox.Entered) { e.Type = s })).ThenInvalid("type")
	}
	want := entered()
	want.Type = "a-z_09"
	given(t).When(enter(func(e *inbox.Entered) { e.Type = "a-z_09" })).Then(want)
}

func TestOnlyItsUserMarksAnEntryAsRead(t *testing.T) {
	t.Parallel()
	given(t, entered()).When(markRead("c1")).Then(read)
	given(t, entered(), read).When(markRead("c1")).Then() // once is enough
	for _, by := range []string{"c2", ""} {
		given(t, entered()).When(markRead(by)).ThenError(domain.CodeForbidden)
		given(t, entered(), read).When(markRead(by)).ThenError(domain.CodeForbidden)
	}
	given(t).When(markRead("c1")).ThenError(domain.CodeNotFound)
	given(t).When(markRead("")).ThenError(domain.CodeNotFound)
}

func TestStateFollowsTheEvents(t *testing.T) {
	t.Parallel()
	e := entered()
	want := inbox.Entry{
		ID: id, UserID: "c1", Title: "Order placed", Message: "We have your order", Type: "order", OrderID: new(orderID),
		CreatedAt: domaintest.At, Version: 1,
	}
	// Neither one of another aggregate nor that of all entries changes an entry.
	got := domaintest.Fold(inbox.Entry{}, e, business.Opened{}, inbox.AllRead{UserID: "c1"})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("entered\n got %+v\nwant %+v", got, want)
	}
	*e.OrderID = uuid.Nil
	if *got.OrderID != orderID {
		t.Error("a change of the event's order reached the state")
	}
	later := domaintest.At.Add(time.Hour)
	want.Read, want.ReadAt, want.Version = true, &later, 2
	if got := got.Apply(read, later); !reflect.DeepEqual(got, want) {
		t.Errorf("read\n got %+v\nwant %+v", got, want)
	}
	if got := got.Apply(read, time.Time{}).Stamp(later); !reflect.DeepEqual(got, want) {
		t.Errorf("stamped\n got %+v\nwant %+v", got, want)
	}
	if got := (inbox.Entry{}).Apply(entered(), time.Time{}).Stamp(domaintest.At); !reflect.DeepEqual(got, domaintest.Fold(inbox.Entry{}, entered())) {
		t.Errorf("stamped %+v", got)
	}
}

func TestAnEventCausesAtMostOneEntry(t *testing.T) {
	t.Parallel()
	// They are where entries and readers are found for ever: what they are may not change.
	for want, got := range map[string]uuid.UUID{
		"0522f1d0-cade-5de2-8054-2fb329883e4a": inbox.EntryID(orderID),
		"ea9fe102-c31d-5c0a-89de-c91fe678d911": inbox.ReaderID("c1"),
	} {
		if got.String() != want {
			t.Errorf("id %s; want %s", got, want)
		}
	}
	if inbox.EntryID(orderID) == inbox.EntryID(id) || inbox.ReaderID("c1") == inbox.ReaderID("C1") {
		t.Error("two have one id")
	}
}
