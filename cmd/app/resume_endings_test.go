package main

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// A token that expires ends the connection over every transport, so that the client comes back with a new one. It goes
// on where it was.
func TestATokenThatExpiresEndsTheConnection(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	overEveryTransport(t, func(t *testing.T, made func() driver) {
		user := own(t, "customer")
		c := newClient(t, made(), user, domain.RoleCustomer)
		fresh := c.token
		var err error
		c.token, err = auth.Sign([]byte(jwtSecret), auth.Identity{UserID: user, Role: c.role, ExpiresAt: time.Now().Add(5 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		k := c.arrive(t, s.url)
		reason := ""
		for err == nil {
			var f heard
			if f, err = k.link.next(t.Context()); f.event == "error" && includes(t, string(f.data), `{"code":"token_expired"}`) {
				reason = "token_expired"
			}
		}
		if isFault(err) || reason == "" && !expiredBy(err) {
			t.Errorf("it ended with %v, and not because the token has expired", err)
		}
		if k, err = c.connect(t.Context(), s.url); err == nil {
			_, err = k.link.next(t.Context())
			k.link.cut()
		}
		if !expiredBy(err) {
			t.Errorf("with the expired token it is answered %v", err)
		}

		c.token = fresh
		told := s.note(t, user)
		k = c.begin(t, s.url)
		k.hears(t, "notification:new", told)
	})
}

// expiredBy tells whether that is how the server said no.
func expiredBy(err error) bool {
	var denied *deniedError
	return errors.As(err, &denied) && denied.code == "token_expired" || websocket.IsCloseError(err, 4401)
}

// A server that stops ends every connection in order, and the next one has the clients go on where they were.
func TestAServerThatStopsSendsItsClientsToTheNext(t *testing.T) {
	t.Parallel()
	env := serverSettings(t, pgtest.Database(t))
	s := shop{server: start(t, env), admin: tokenFor(t, "boss", domain.RoleAdmin), ada: tokenFor(t, "ada", domain.RoleCustomer)}
	s.product = s.openShop(t)
	var all []*connection
	for _, transport := range transports {
		all = append(all, newClient(t, transport.driver(), "boss", domain.RoleAdmin).arrive(t, s.url))
	}
	var reading sync.WaitGroup
	for i, k := range all {
		reading.Go(func() {
			var err error
			asked := false
			for err == nil {
				var f heard
				f, err = k.next(t.Context())
				asked = asked || f.event == "reconnect"
			}
			if _, by := k.c.driver.(*overSSE); isFault(err) || !asked && !by { // an EventSource has `retry:` for that
				t.Errorf("%s: asked back %v, ended with %v", transports[i].name, asked, err)
			}
		})
	}
	order := s.place(t, s.ada)
	s.stop()
	reading.Wait()

	s.server = start(t, env)
	placed := s.must(t, 200, "GET", "/api/v1/orders/"+order, s.admin, nil)
	moved := s.move(t, order, "confirmed").seq()
	for i, k := range all {
		t.Run(transports[i].name, func(t *testing.T) {
			t.Parallel()
			k = k.c.arrive(t, s.url)
			want := 3 // the shop opened, an order was placed and confirmed
			if len(k.c.got) != want || k.c.got[want-1] != moved {
				t.Errorf("it got %v, up to %d, of order %v", k.c.got, moved, placed.body["id"])
			}
		})
	}
}
