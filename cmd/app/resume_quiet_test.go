package main

import (
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain"
)

// note writes to a user's inbox, which tells that user and nobody else, and returns the seq of that.
func (s shop) note(t *testing.T, user string) int64 {
	t.Helper()
	return s.must(t, 201, "POST", "/api/v1/notifications", s.admin,
		map[string]any{"userId": user, "title": "Hello", "message": "There is cake", "type": "info"}).seq()
}

// own is the name of a user that only the running test has.
func own(t *testing.T, name string) string {
	t.Helper()
	return name + "-" + strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
}

// seen waits until those who connect are served all that was answered so far.
func (s shop) seen(t *testing.T) {
	t.Helper()
	newClient(t, &overWebSocket{protocol: "orderlog.v1"}, "boss", domain.RoleAdmin).arrive(t, s.url).cut()
}

// Who was told nothing at all goes on where it began, over every transport: what happened since then comes, once.
func TestAClientThatWasToldNothingGoesOnWhereItBegan(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	overEveryTransport(t, func(t *testing.T, made func() driver) {
		user := own(t, "customer")
		c := newClient(t, made(), user, domain.RoleCustomer)
		c.live = true
		s.note(t, user)
		s.seen(t)
		c.begin(t, s.url).cut()
		first := s.note(t, user)
		c.begin(t, s.url).cut() // and again it is cut before it is told anything, or in the middle of that
		second := s.note(t, user)
		k := c.begin(t, s.url)
		k.hears(t, "notification:new", first)
		k.hears(t, "notification:new", second)
		k.hears(t, "caught_up", 0)
		third := s.note(t, user)
		k.hears(t, "notification:new", third)
	})
}

// A quiet client hears within 15 s how far it is, over every transport, and goes on from there.
func TestTheCursorOfAQuietClientMovesOn(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	s.await(t, 2)
	var quiet []*connection
	for _, transport := range transports {
		bob := newClient(t, transport.driver(), "bob", domain.RoleCustomer)
		bob.live = true
		quiet = append(quiet, bob.begin(t, s.url))
	}
	s.place(t, s.ada) // nothing for bob, nor is the entry that it makes in her inbox
	s.await(t, 4)
	for i, k := range quiet {
		t.Run(transports[i].name, func(t *testing.T) {
			t.Parallel()
			if f := k.hears(t, "checkpoint", 0); f.seq != 3 && f.seq != 4 {
				t.Errorf("the checkpoint is %d", f.seq)
			}
			k.cut()
			k = k.c.begin(t, s.url)
			k.hears(t, "caught_up", 4)
		})
	}
}
