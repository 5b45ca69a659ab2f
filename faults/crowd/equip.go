package crowd

import (
	"fmt"
	"math/rand/v2"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/faults/history"
)

var transports = []string{ws, wsBatch, sioSocket, sioPoll, sse, history.Feed}

// equip gives the users their devices: one each, and a second one to some, until there are as many as wanted. Who has
// which depends on the seed alone.
func (c *Crowd) equip() []*device {
	rng := c.random(ofPeople + 1<<32)
	w := c.world
	var users []*user
	for _, k := range w.couriers {
		users = append(users, k.user)
	}
	users = append(users, w.customers...)
	rng.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
	users = append(append([]*user{}, w.admins...), users...)
	kinds := rng.Perm(len(transports))
	var all []*device
	for n := range c.cfg.Clients {
		u := users[n%len(users)]
		all = append(all, c.newDevice(n, u, transports[kinds[(n+n/len(users))%len(kinds)]]))
	}
	return all
}

func (c *Crowd) newDevice(n int, u *user, transport string) *device {
	rng := c.random(ofDevices + uint64(n)) //nolint:gosec // it is no negative number
	d := &device{
		user: u, api: c.api, rng: rng, now: c.cfg.History.Now, joined: map[string]int64{},
		rooms: func(rng *rand.Rand) []string { return c.world.roomsOf(u, rng) },
		log:   history.Client{Name: fmt.Sprintf("device %d of %s over %s", n+1, u.id, transport), User: u.id, Role: string(u.role), Transport: transport},
	}
	d.reads = rng.IntN(3) == 0
	switch transport {
	case sse:
		d.ready, d.tickets = dialSSE, rng.IntN(2) == 0
	case sioSocket, sioPoll:
		d.ready, d.recovers = dialSocketIO, rng.IntN(2) == 0
		// Over Socket.IO a client does not know where it is before it has asked, so it begins where it says.
		d.begun = true
	case history.Feed:
		d.ready, d.rooms, d.begun = dialFeed, nil, true // with all that there is, or from what it read first
	default:
		d.ready = dialWebSocket
		d.begun = rng.IntN(3) == 0 // with all that there is
	}
	return d
}

// roomsOf are some rooms that a user may be in, as far as is known.
func (w *world) roomsOf(u *user, rng *rand.Rand) (rooms []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var mine []*order
	for i := len(w.orders) - 1; i >= 0 && len(mine) < 50; i-- {
		o := w.orders[i]
		if u.role == domain.RoleAdmin || o.customer == u || o.agent != nil && o.agent.user == u {
			mine = append(mine, o)
		}
	}
	for range min(3, len(mine)) {
		o := mine[rng.IntN(len(mine))]
		rooms = append(rooms, "order:"+o.id)
		if o.agent != nil && rng.IntN(2) == 0 {
			rooms = append([]string{"delivery:" + o.agent.id}, rooms...)
		}
	}
	if u.role == domain.RoleDelivery && rng.IntN(3) == 0 {
		rooms = append(rooms, "delivery:"+u.id)
	}
	return rooms
}
