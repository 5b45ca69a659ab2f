package menu_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/menu"
)

var (
	id    = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000b")
	asked = menu.Add{ProductID: id, Name: "Dosa", Description: "crisp", Price: 450, Currency: "EUR", Available: true}
	added = menu.Added(asked)
	gone  = menu.Archived{ProductID: id}
)

type decision = func(menu.Product) ([]domain.Event, error)

func add(change func(*menu.Add)) decision {
	cmd := asked
	change(&cmd)
	return func(p menu.Product) ([]domain.Event, error) { return p.Add(cmd) }
}

func update(cmd menu.Update) decision {
	return func(p menu.Product) ([]domain.Event, error) { return p.Update(cmd) }
}

func given(t *testing.T, events ...domain.Event) *domaintest.Scenario[menu.Product] {
	t.Helper()
	return domaintest.Given[menu.Product](t, events...)
}

func TestAdding(t *testing.T) {
	t.Parallel()
	given(t).When(add(func(*menu.Add) {})).Then(added)
	given(t, added).When(add(func(*menu.Add) {})).ThenError(domain.CodeVersionConflict)
	for field, change := range map[string]func(*menu.Add){
		"name":        func(c *menu.Add) { c.Name = " " },
		"description": func(c *menu.Add) { c.Description = strings.Repeat("x", 2001) },
		"price":       func(c *menu.Add) { c.Price = -1 },
		"currency":    func(c *menu.Add) { c.Currency = "eur" },
	} {
		given(t).When(add(change)).ThenInvalid(field)
	}
	given(t).When(add(func(c *menu.Add) { c.Name = strings.Repeat("x", 201) })).ThenInvalid("name")
	given(t).When(add(func(c *menu.Add) { c.Price = domain.MaxPrice + 1 })).ThenInvalid("price")
}

func TestUpdating(t *testing.T) {
	t.Parallel()
	given(t, added).When(update(menu.Update{Price: new(int64(0)), Available: new(false)})).
		Then(menu.Updated{ProductID: id, Price: new(int64(0)), Available: new(false)})
	given(t, added).When(update(menu.Update{Price: new(int64(450))})).
		Then(menu.Updated{ProductID: id, Price: new(int64(450))})
	given(t, added).When(update(menu.Update{Name: new("Idli"), Description: new(""), Currency: new("INR")})).
		Then(menu.Updated{ProductID: id, Name: new("Idli"), Description: new(""), Currency: new("INR")})

	given(t, added).When(update(menu.Update{})).ThenError(domain.CodeInvalidRequest)
	given(t, added).When(update(menu.Update{Name: new("")})).ThenInvalid("name")
	given(t, added).When(update(menu.Update{Description: new("\xff")})).ThenInvalid("description")
	given(t, added).When(update(menu.Update{Price: new(int64(-1))})).ThenInvalid("price")
	given(t, added).When(update(menu.Update{Currency: new("€")})).ThenInvalid("currency")
	given(t).When(update(menu.Update{Name: new("Idli")})).ThenError(domain.CodeNotFound)
	given(t, added, gone).When(update(menu.Update{Name: new("Idli")})).ThenError(domain.CodeProductUnavailable)
}

func TestArchiving(t *testing.T) {
	t.Parallel()
	given(t, added).When(menu.Product.Archive).Then(gone)
	given(t, added, gone).When(menu.Product.Archive).Then() // once is enough
	given(t).When(menu.Product.Archive).ThenError(domain.CodeNotFound)
}

func TestStateFollowsTheEvents(t *testing.T) {
	t.Parallel()
	got := domaintest.Fold(menu.Product{}, added,
		business.Opened{}, // of another aggregate: changes nothing
		menu.Updated{ProductID: id, Price: new(int64(500)), Description: new("")})
	want := menu.Product{
		ID: id, Name: "Dosa", Price: 500, Currency: "EUR", Available: true,
		CreatedAt: domaintest.At, UpdatedAt: domaintest.At, Version: 2,
	}
	if got != want {
		t.Errorf("state %+v\n want %+v", got, want)
	}
	if p := domaintest.Fold(got, gone); !p.Archived || p.Available || p.Version != 3 {
		t.Errorf("archived state %+v", p)
	}
	if p := (menu.Product{}).Apply(added, time.Time{}).Stamp(domaintest.At); p != domaintest.Fold(menu.Product{}, added) {
		t.Errorf("stamped state %+v", p)
	}
}
