package business_test

import (
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/menu"
)

func setStatus(cmd business.SetStatus) func(business.Business) ([]domain.Event, error) {
	return func(b business.Business) ([]domain.Event, error) { return b.SetStatus(cmd) }
}

func TestOpeningAndClosing(t *testing.T) {
	t.Parallel()
	opened := business.Opened{BusinessName: "Dosa House", Message: "Welcome"}
	cases := map[string]struct {
		given []domain.Event
		when  business.SetStatus
		then  domain.Event
	}{
		"the first opening has a default name and message": {
			nil,
			business.SetStatus{IsOpen: true},
			business.Opened{BusinessName: business.DefaultName, Message: "We are open and taking orders"},
		},
		"a name and a message are kept as given": {
			nil, business.SetStatus{IsOpen: true, BusinessName: "Dosa House", Message: "Welcome"}, opened,
		},
		"closing keeps the name": {
			[]domain.Event{opened},
			business.SetStatus{Message: "Back at six"},
			business.Closed{BusinessName: "Dosa House", Message: "Back at six"},
		},
		"opening what is open is an announcement": {
			[]domain.Event{opened},
			business.SetStatus{IsOpen: true, Message: "New menu"},
			business.Opened{BusinessName: "Dosa House", Message: "New menu"},
		},
		"closing what was never open is one too": {
			nil,
			business.SetStatus{},
			business.Closed{BusinessName: business.DefaultName, Message: "We are closed and take no orders for now"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			domaintest.Given[business.Business](t, c.given...).When(setStatus(c.when)).Then(c.then)
		})
	}
}

func TestTextsAreBounded(t *testing.T) {
	t.Parallel()
	domaintest.Given[business.Business](t).
		When(setStatus(business.SetStatus{Message: strings.Repeat("é", 501)})).ThenInvalid("message")
	domaintest.Given[business.Business](t).
		When(setStatus(business.SetStatus{Message: "a\x00"})).ThenInvalid("message")
	domaintest.Given[business.Business](t).
		When(setStatus(business.SetStatus{BusinessName: strings.Repeat("é", 201)})).ThenInvalid("businessName")
}

func TestOrdersAreTakenOnlyWhileOpen(t *testing.T) {
	t.Parallel()
	opened, closed := business.Opened{BusinessName: "B"}, business.Closed{BusinessName: "B", Message: "Back at six"}
	var b business.Business
	if code := domain.CodeOf(b.CheckOpen()); code != domain.CodeBusinessClosed {
		t.Errorf("before the first opening: %q", code)
	}
	if err := domaintest.Fold(b, opened).CheckOpen(); err != nil {
		t.Errorf("open: %v", err)
	}
	if code := domain.CodeOf(domaintest.Fold(b, opened, closed).CheckOpen()); code != domain.CodeBusinessClosed {
		t.Errorf("closed: %q", code)
	}
}

func TestStateFollowsTheEvents(t *testing.T) {
	t.Parallel()
	got := domaintest.Fold(business.Initial(),
		business.Opened{BusinessName: "B", Message: "m"},
		menu.Archived{}, // of another aggregate: changes nothing
		business.Closed{BusinessName: "C", Message: "n"})
	want := business.Business{BusinessName: "C", Message: "n", UpdatedAt: domaintest.At, Version: 2}
	if got != want {
		t.Errorf("state %+v; want %+v", got, want)
	}
	open := business.Initial().Apply(business.Opened{BusinessName: "B"}, time.Time{})
	if !open.IsOpen || open.Stamp(domaintest.At) != open.Apply(menu.Archived{}, domaintest.At).Stamp(domaintest.At) || open.Stamp(domaintest.At).UpdatedAt != domaintest.At {
		t.Errorf("stamped %+v", open.Stamp(domaintest.At))
	}
}
