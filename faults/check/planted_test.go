package check

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

type fault struct {
	rule  string
	plant func(*story)
}

// entry finds a client's nth entry of a kind.
func (s *story) entry(user string, kind history.Kind, n int) (*history.Client, int) {
	for _, c := range s.h.Clients() {
		for i := range c.Log {
			if c.User == user && c.Log[i].Kind == kind {
				if n--; n == 0 {
					return c, i
				}
			}
		}
	}
	s.t.Fatalf("%s has no such entry", user)
	return nil, 0
}

// told finds what a client was told of a seq.
func (s *story) told(user string, seq int64) (*history.Client, int) {
	for _, c := range s.h.Clients() {
		for i := range c.Log {
			if c.User == user && c.Log[i].Kind == history.Event && c.Log[i].Seq == seq {
				return c, i
			}
		}
	}
	s.t.Fatalf("%s was not told of %d", user, seq)
	return nil, 0
}

// forgets takes what a client was told of a seq out of its log, so that prev does not show it.
func (s *story) forgets(user string, seq int64) history.Entry {
	c, i := s.told(user, seq)
	gone := c.Log[i]
	for k := i + 1; k < len(c.Log); k++ {
		if c.Log[k].Prev == seq {
			c.Log[k].Prev = gone.Prev
		}
		if c.Log[k].Kind == history.Opened && c.Log[k].Seq == seq {
			c.Log[k].Seq = gone.Prev
		}
	}
	c.Log = slices.Delete(c.Log, i, i+1)
	return gone
}

func (s *story) command(name string, n int) *history.Command {
	for _, c := range s.h.Commands() {
		if c.Name == name {
			if n--; n == 0 {
				return c
			}
		}
	}
	s.t.Fatalf("nobody did %s", name)
	return nil
}

func (s *story) event(typ string, n int) *event { return s.events[s.seqOf(typ, n)-1] }

func (s *story) view(what, subject string) *viewRow {
	i := slices.IndexFunc(s.views, func(r viewRow) bool { return r.what == what && r.subject == subject })
	return &s.views[i]
}

// said has the nth place be one that was said over a socket.
func (s *story) said(n int) *history.Command {
	e, c := s.event(courierLocated, n), s.command("courier.location", n)
	c.ID, c.Wanted = id(90), map[string]string{
		"over": "ws", "kept": "true", "latitude": fmt.Sprint(e.body.Latitude), "longitude": fmt.Sprint(e.body.Longitude),
	}
	return c
}

// joins finds when a client is let into a room.
func (s *story) joins(user, room string) (*history.Client, int) {
	for n := 1; ; n++ {
		if c, i := s.entry(user, history.Joined, n); c.Log[i].Name == room {
			return c, i
		}
	}
}

// past has a client leave the room of the first order at the end, join it again, and be told of all that it carried, but
// for some.
func (s *story) past(user string, but ...int64) *history.Client {
	room := "order:" + order1
	c, _ := s.told(user, s.last)
	e := history.Entry{At: c.Log[len(c.Log)-1].At, Name: room}
	for _, kind := range []history.Kind{history.Left, history.Left, history.Asked, history.Joined} {
		e.Kind, e.Flag, e.Seq = kind, kind == history.Left, s.last
		c.Log = append(c.Log, e)
	}
	for _, x := range s.events {
		if x.told != nil && slices.Contains(x.told.channels, room) && !slices.Contains(but, x.seq) {
			digest, _ := history.Digest(x.told.payload)
			c.Log = append(c.Log, history.Entry{At: e.At, Kind: history.Event, Flag: true, Seq: x.seq, Name: x.told.event, Digest: digest})
		}
	}
	return c
}

// cutOff has a client's connection be lost behind what first told of a seq or a later one, and it comes back.
func (s *story) cutOff(user string, seq int64) {
	c, _ := s.entry(user, history.Opened, 1)
	k := slices.IndexFunc(c.Log, func(e history.Entry) bool { return e.Kind == history.Event && e.Seq >= seq })
	at, known := c.Log[k].At, c.Log[k].Seq
	c.Log = slices.Insert(c.Log, k+1,
		history.Entry{At: at, Kind: history.Closed}, history.Entry{Kind: history.Opened, Seq: known},
		history.Entry{At: at, Kind: history.Registered, Seq: known, Flag: true},
		history.Entry{At: at, Kind: history.Joined, Seq: known, Name: "delivery:" + courier2, Prev: -1},
		history.Entry{At: at, Kind: history.Joined, Seq: known, Name: "order:" + order1, Prev: -1},
		history.Entry{At: at, Kind: history.CaughtUp, Seq: known})
}

var planted = map[string]fault{
	"a seq is skipped": {ruleLog, func(s *story) { s.head++ }},
	"a version comes twice": {ruleLog, func(s *story) {
		s.event(orderChanged, 2).version--
	}},
	"the time falls": {ruleLog, func(s *story) {
		e := s.event(productAdded, 1)
		e.at = e.at.Add(-time.Hour)
	}},
	"what was acknowledged is not there": {ruleAcknowledged, func(s *story) {
		s.h.AddCommand(&history.Command{
			ID: "x", Name: "inbox.send", User: admin1, Role: "admin", Attempts: []history.Attempt{{Began: s.tick(), Ended: s.tick(), Outcome: history.Acknowledged, Seq: s.head}},
		})
	}},
	"the answer names another seq":       {ruleAcknowledged, func(s *story) { s.command("courier.status", 1).Attempts[0].Seq-- }},
	"the answer is about something else": {ruleAcknowledged, func(s *story) { s.command("payment.collect", 1).Subject = payment2 }},
	"what was refused is there": {ruleRefused, func(s *story) {
		c := s.command("courier.location", 2)
		c.Attempts[0].Outcome, c.Attempts[0].Code = history.Refused, "forbidden"
	}},
	"what nobody asked for is there": {ruleOnce, func(s *story) {
		e := s.event(offerCreated, 1)
		e.meta.CorrelationID, e.meta.IdempotencyKey = id(99), ""
		s.command("offer.create", 1).Attempts[0].Outcome = history.Unknown
	}},
	"what nobody asked for has no id": {ruleOnce, func(s *story) {
		s.event(courierLocated, 3).meta = meta{UserID: courier2, Role: "delivery"}
		s.command("courier.location", 3).Attempts[0].Outcome = history.Unknown
	}},
	"a place is there that nobody said over a socket": {ruleOnce, func(s *story) {
		s.event(courierLocated, 3).meta.CorrelationID = id(99)
		s.said(3).Wanted["latitude"] = "7"
		s.command("courier.location", 3).Attempts[0].Outcome = history.Unknown
	}},
	"a place that was said over a socket and refused is there": {ruleRefused, func(s *story) {
		c := s.said(3)
		c.Attempts[0].Outcome, c.Attempts[0].Code = history.Refused, "forbidden"
	}},
	"a place that was said over a socket and kept is not there": {ruleAcknowledged, func(s *story) {
		c := *s.said(3)
		c.Wanted = maps.Clone(c.Wanted)
		c.Wanted["latitude"] = "7"
		s.h.AddCommand(&c)
	}},
	"a place that was said over a socket is at another seq": {ruleAcknowledged, func(s *story) { s.said(3).Attempts[0].Seq-- }},
	"a place that was kept is not there": {ruleAcknowledged, func(s *story) {
		s.does("courier.location", "delivery", courier2, order1, map[string]string{"kept": "true"}).Attempts[0].Seq = s.seqOf(courierLocated, 4)
	}},
	"a place that was not kept is there": {ruleAcknowledged, func(s *story) {
		s.command("courier.location", 3).Wanted = map[string]string{"kept": "false"}
	}},
	"an entry that was read is not": {ruleAcknowledged, func(s *story) {
		s.does("inbox.read", "customer", customer1, id(77), nil).Attempts[0].Seq = s.head
	}},
	"a refund that the provider told of is not there": {ruleAcknowledged, func(s *story) {
		s.does("payment.webhook", "system", "", payment2, map[string]string{"type": "payment.refunded", "amount": "1900"}).Attempts[0].Seq = s.head
	}},
	"another amount is given back": {ruleAcknowledged, func(s *story) {
		s.command("payment.refund", 1).Wanted = map[string]string{"amount": "499"}
	}},
	"a command is there twice": {ruleOnce, func(s *story) {
		s.event(courierLocated, 3).meta = s.event(courierLocated, 2).meta
		s.command("courier.location", 2).Attempts[0].Seq++
		s.command("courier.location", 3).Attempts[0].Outcome = history.Unknown
	}},
	"a key is ignored": {ruleOnce, func(s *story) {
		s.event(courierLocated, 3).meta.IdempotencyKey = s.event(courierLocated, 2).meta.IdempotencyKey
	}},
	"a repeated command is taken for a new one": {ruleOnce, func(s *story) {
		c := s.command("payment.webhook", 1)
		c.Attempts = append(c.Attempts, c.Attempts[0])
	}},
	"a later command comes before": {ruleOrder, func(s *story) {
		first, second := s.command("courier.status", 1).Attempts, s.command("courier.status", 2).Attempts
		first[0].Began, second[0].Began = second[0].Began, first[0].Began
		first[0].Ended, second[0].Ended = second[0].Ended, first[0].Ended
	}},
	"the notification log says something else": {ruleFeed, func(s *story) {
		e := s.event(inboxEntered, 1)
		e.told.payload = []byte(`{"id":"` + e.body.ID + `","title":"Olds","message":"m","type":"order"}`)
		c, i := s.told(e.body.UserID, e.seq)
		c.Log[i].Digest, _ = history.Digest(e.told.payload)
	}},
	"the notification log tells too many": {ruleFeed, func(s *story) {
		e := s.event(inboxEntered, 1)
		e.told.channels = append(e.told.channels, "all")
	}},
	"prev skips one": {ruleChain, func(s *story) {
		c, i := s.told(customer2, s.seqOf(orderCancelled, 1))
		c.Log[i].Prev--
	}},
	"an event comes twice": {ruleRepeated, func(s *story) {
		c, i := s.told(customer2, s.seqOf(orderCancelled, 1))
		again := c.Log[i]
		again.Prev = again.Seq
		c.Log = slices.Insert(c.Log, i+1, again)
	}},
	"two events are in each other's place": {ruleRepeated, func(s *story) {
		c, i := s.told(customer1, s.seqOf(paymentCaptured, 1))
		c.Log[i], c.Log[i+1] = c.Log[i+1], c.Log[i]
		c.Log[i].Prev, c.Log[i+1].Prev = -1, -1
		c.Log[i+2].Prev = -1
	}},
	"an event never comes": {ruleMissing, func(s *story) { s.forgets(customer2, s.seqOf(orderCancelled, 1)) }},
	"an event of a room never comes, and the connection is lost": {ruleMissing, func(s *story) {
		seq := s.seqOf(paymentCaptured, 1)
		s.forgets(courier2, seq)
		s.cutOff(courier2, seq)
	}},
	"the answer to a join lacks an event":         {ruleMissing, func(s *story) { s.past(courier2, s.seqOf(orderAssigned, 1)) }},
	"the answer to a join lacks the newest place": {ruleMissing, func(s *story) { s.past(courier2, s.seqOf(courierLocated, 4)) }},
	"the answer to a join has an event of somebody else": {ruleForeign, func(s *story) {
		e := s.event(orderCancelled, 1)
		digest, _ := history.Digest(e.told.payload)
		c := s.past(courier2)
		c.Log = append(c.Log, history.Entry{At: c.Log[len(c.Log)-1].At, Kind: history.Event, Flag: true, Seq: e.seq, Name: e.told.event, Digest: digest})
	}},
	"the answer to a join has an event twice": {ruleForeign, func(s *story) {
		c := s.past(courier2)
		c.Log = append(c.Log, c.Log[len(c.Log)-1])
	}},
	"an event of a room comes to who did not ask for it, and the connection is lost": {ruleForeign, func(s *story) {
		c, i := s.joins(courier2, "order:"+order1)
		c.Log = slices.Delete(c.Log, i, i+1)
		s.cutOff(courier2, s.seqOf(paymentCaptured, 1))
	}},
	"an event of a room never comes": {ruleMissing, func(s *story) {
		s.forgets(courier2, s.seqOf(paymentCaptured, 1))
	}},
	"the newest place never comes": {ruleMissing, func(s *story) { s.forgets(customer1, s.seqOf(courierLocated, 4)) }},
	"an event comes that is for somebody else": {ruleForeign, func(s *story) {
		c, _ := s.told(customer2, s.seqOf(orderCancelled, 1))
		e := s.event(orderChanged, 5)
		digest, _ := history.Digest(e.told.payload)
		k := slices.IndexFunc(c.Log, func(x history.Entry) bool { return x.Kind == history.Event && x.Seq > e.seq })
		prev := c.Log[k].Prev
		c.Log[k].Prev = e.seq
		c.Log = slices.Insert(c.Log, k, history.Entry{At: c.Log[k].At, Kind: history.Event, Prev: prev, Seq: e.seq, Name: e.told.event, Digest: digest})
	}},
	"a room does not end with the right": {ruleRights, func(s *story) {
		c, i := s.entry(courier1, history.Left, 1)
		c.Log = slices.Delete(c.Log, i, i+1)
	}},
	"a room is taken away for nothing": {ruleRights, func(s *story) {
		c, _ := s.told(courier2, s.seqOf(paymentRefunded, 1))
		c.Log = append(c.Log, history.Entry{At: c.Log[len(c.Log)-1].At, Kind: history.Left, Name: "order:" + order1})
	}},
	"a room is taken away from an admin": {ruleRights, func(s *story) {
		c := s.h.Clients()[0]
		room := history.Entry{Kind: history.Joined, Name: "order:" + order1, Prev: -1, Seq: s.last}
		c.Log = append(c.Log, room, history.Entry{Kind: history.Left, Name: room.Name})
	}},
	"a room is refused to who may be in it": {ruleRights, func(s *story) {
		c, _ := s.told(customer1, s.last)
		c.Log = append(c.Log, history.Entry{Kind: history.Denied, Name: "order:" + order1, Subject: "forbidden"})
	}},
	"a room goes on behind its right": {ruleRights, func(s *story) {
		c, i := s.entry(courier1, history.Left, 1)
		left := c.Log[i]
		e := s.event(courierLocated, 2)
		digest, _ := history.Digest(e.told.payload)
		k := slices.IndexFunc(c.Log, func(x history.Entry) bool { return x.Kind == history.Event && x.Seq > e.seq })
		prev := c.Log[k].Prev
		c.Log[k].Prev = e.seq
		c.Log = slices.Insert(c.Log, k, history.Entry{At: left.At, Kind: history.Event, Prev: prev, Seq: e.seq, Name: e.told.event, Digest: digest})
		c.Log = slices.Delete(c.Log, i, i+1)
		for n := i; n < len(c.Log); n++ { // all at once, so that nothing but the event shows it
			c.Log[n].At = left.At
		}
	}},
	"an event has other data": {ruleContent, func(s *story) {
		c, i := s.told(customer2, s.seqOf(orderCancelled, 1))
		c.Log[i].Digest++
	}},
	"a checkpoint runs ahead": {ruleCheckpoint, func(s *story) {
		seq := s.seqOf(orderCancelled, 1)
		c, i := s.told(customer2, seq)
		c.Log = slices.Insert(c.Log, i, history.Entry{At: c.Log[i].At, Kind: history.Checkpoint, Seq: seq})
		c.Log[i+1].Prev = seq
	}},
	"caught_up comes too early": {ruleCaughtUp, func(s *story) {
		c, _ := s.entry(admin1, history.CaughtUp, 1)
		for k := range c.Log { // it comes back when more had been answered
			c.Log[k].At = s.clock + time.Duration(k)
		}
	}},
	"caught_up never comes": {ruleCaughtUp, func(s *story) {
		c, i := s.entry(admin1, history.CaughtUp, 1)
		c.Log[i].Kind = history.Checkpoint
	}},
	"a cursor is refused": {ruleResync, func(s *story) {
		c, i := s.entry(admin1, history.CaughtUp, 1)
		c.Log[i].Kind, c.Log[i].Name = history.Resync, "expired"
	}},
	"a client does not get to the end": {ruleLast, func(s *story) {
		c, i := s.told(customer2, s.last)
		c.Log = c.Log[:i]
	}},
	"a client is sent nonsense": {ruleLast, func(s *story) {
		c, _ := s.told(customer2, s.last)
		c.Log = append(c.Log, history.Entry{Kind: history.Faulty, Name: "a frame that is no JSON"})
	}},
	"a read is too old": {ruleMinSeq, func(s *story) {
		r := &s.h.Reads()[len(s.h.Reads())-2]
		r.MinSeq = r.Seq + 1
	}},
	"a read that finds nothing is too old": {ruleMinSeq, func(s *story) {
		r := &s.h.Reads()[len(s.h.Reads())-1]
		r.MinSeq = r.Seq + 1
	}},
	"a read that finds nothing does not say of when": {ruleMinSeq, func(s *story) { s.h.Reads()[len(s.h.Reads())-1].Seq = 0 }},
	"the program does not know what went wrong": {ruleAnswers, func(s *story) {
		s.refused("offer.create", "admin", admin1, "X", "internal", nil).Attempts[0].Status = 500
	}},
	"no does not say why":  {ruleAnswers, func(s *story) { s.refused("offer.create", "admin", admin1, "X", "", nil) }},
	"a read ends with 500": {ruleAnswers, func(s *story) { s.h.AddRead(history.Read{Status: 500, Code: "internal"}) }},
	"a connection ends with 500": {ruleAnswers, func(s *story) {
		c := s.h.Clients()[0]
		c.Log = append(c.Log, history.Entry{Kind: history.Closed, Seq: 500, Name: "internal"})
	}},
	"a read lacks an event": {ruleReads, func(s *story) {
		r := &s.h.Reads()[len(s.h.Reads())-2]
		r.Body = []byte(`{"code":"TEN","description":"ten","discountValue":10,"maxUses":1,"withdrawn":false,"uses":0}`)
	}},
	"a read finds nothing": {ruleReads, func(s *story) {
		r := &s.h.Reads()[len(s.h.Reads())-2]
		r.Status, r.Code, r.Body = 404, "not_found", nil
	}},
	"a read model lost an event": {ruleViews, func(s *story) { s.view("courier", courier1).doc = []byte(`{"status":"busy","currentOrder":null}`) }},
	"a read model lost an order": {ruleViews, func(s *story) { s.views = s.views[1:] }},
	"an order takes a wrong step": {ruleSteps, func(s *story) {
		e := s.event(orderCancelled, 1)
		e.meta.UserID = customer1
	}},
	"an order costs what the client says": {rulePrices, func(s *story) {
		price := int64(949)
		s.event(productAdded, 1).body.Price = &price
	}},
	"an order is taken while closed": {rulePrices, func(s *story) {
		e := s.event(opened, 1)
		e.typ = "business.renamed"
		e.told = nil
		c := s.command("business.open", 1)
		c.Attempts[0].Outcome = history.Unknown
		for _, x := range s.h.Clients() {
			s.forgets(x.User, 1)
		}
	}},
	"more is given back than came in": {ruleMoney, func(s *story) {
		e := s.event(paymentRefunded, 1)
		e.body.Amount = 1711
		e.told = payload(s.t, e)
		s.retell(e)
		s.rederive()
	}},
	"what is due is forgotten": {ruleMoney, func(s *story) {
		s.event(paymentDue, 1).typ = "payment.noted"
		s.rederive()
	}},
	"a tally counts wrong": {ruleOffers, func(s *story) { s.event(offerUseCounted, 1).body.Uses = 2 }},
	"a use is not counted": {ruleOffers, func(s *story) { s.event(offerUseCounted, 2).typ = "offer.noted" }},
	"a courier has two orders": {ruleCouriers, func(s *story) {
		s.event(courierChanged, 2).body.Chosen = "offline"
		s.rederive()
	}},
	"an entry is missing": {ruleInbox, func(s *story) {
		s.event(inboxEntered, 1).meta.CausationID = s.event(inboxEntered, 2).id
	}},
	"an answer cannot be explained": {ruleLinear, func(s *story) {
		s.refused("order.status", "admin", admin1, order1, "invalid_transition", map[string]string{"status": "confirmed"})
		c := s.h.Commands()[len(s.h.Commands())-1]
		placed := s.command("order.place", 1).Attempts[0]
		c.Attempts[0].Began, c.Attempts[0].Ended = placed.Ended+1, placed.Ended+2
	}},
}

// retell has all clients be told of an event as it is now.
func (s *story) retell(e *event) {
	digest, _ := history.Digest(e.told.payload)
	for _, c := range s.h.Clients() {
		for i := range c.Log {
			if c.Log[i].Kind == history.Event && c.Log[i].Seq == e.seq {
				c.Log[i].Digest = digest
			}
		}
	}
}

// rederive makes the read models and the reads what the log says now.
func (s *story) rederive() {
	s.views = nil
	s.tables()
	w, next := newWorld(), 0
	reads := s.h.Reads()
	for _, e := range s.events {
		w.apply(e)
		for next < len(reads) && reads[next].Seq == e.seq {
			if fields, exists, _ := w.document(reads[next].What, reads[next].Subject); exists {
				reads[next].Body = asJSON(s.t, fields)
			}
			next++
		}
	}
}
