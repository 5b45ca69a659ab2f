package crowd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
)

const connectPacket = `40{"sid":"socket","pid":"pid"}`

// emitted is an event with its offset; empty: none.
func emitted(event, data, offset string) string {
	if offset != "" {
		data += `,"` + offset + `"`
	}
	return fmt.Sprintf(`42[%q,%s]`, event, data)
}

func registeredPacket(role domain.Role, seq int64, rooms ...string) string {
	return emitted("registered", hello(role, seq, true, rooms...), "")
}

func statusPacket(event string, seq int64, offset string) string {
	return emitted(event, fmt.Sprintf(`{"orderId":"o1","status":"ready","seq":%d}`, seq), offset)
}

// both runs a test over both transports.
func both(t *testing.T, test func(t *testing.T, transport string)) {
	t.Helper()
	for _, transport := range []string{sioSocket, sioPoll} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			test(t, transport)
		})
	}
}

func sioListener(t *testing.T, transport string, role domain.Role, s *script) *device {
	t.Helper()
	d := listener(t, transport, role, s)
	d.begun, d.cursor = true, 5
	return d
}

// What comes before registered is noted behind it: only then the rooms are known.
func TestWhatIsToldOverSocketIOIsNoted(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, transport string) {
		s := &script{messages: []string{
			connectPacket, statusPacket("order:status:update", 7, "7"), registeredPacket(domain.RoleCustomer, 9),
			emitted("caught_up", `{"seq":9}`, "9"), statusPacket("order:status:update", 10, "10"), "1",
		}}
		d := sioListener(t, transport, domain.RoleCustomer, s)
		wantNoted(t, listen(t, d), "opened:5 registered:9! order:status:update:7 caught_up:9 order:status:update:10 closed")
		other := listener(t, ws, domain.RoleCustomer, &script{messages: []string{registeredFrame(5), eventFrame(5, 7)}})
		listen(t, other)
		if a, b := d.log.Log[2], other.log.Log[2]; a.Digest != b.Digest || a.Digest == 0 {
			t.Errorf("over Socket.IO it is %+v, over a WebSocket %+v", a, b)
		}
		for len(s.said(`42["register",{"role":"customer","userId":"ann"}]`)) == 0 {
			if !pause(t.Context(), time.Millisecond) {
				t.Fatalf("it said %v", s.said(""))
			}
		}
	})
}

// A connection that is lost before it is known where it is was not listened to.
func TestWhatWasNotPlacedDoesNotCount(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, transport string) {
		d := sioListener(t, transport, domain.RoleCustomer, &script{messages: []string{connectPacket, statusPacket("order:status:update", 7, "7"), "1"}})
		wantNoted(t, listen(t, d), "opened:5 closed")
		if d.cursor != 5 || d.socket.offset != "" {
			t.Errorf("it is at %d, offset %q", d.cursor, d.socket.offset)
		}
	})
}

// A room that was lost while the device was away is one that it was in until it is told so.
func TestARoomThatWasLostMeanwhileWasItsUntilThen(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, transport string) {
		d := sioListener(t, transport, domain.RoleDelivery, &script{messages: []string{
			connectPacket, emitted("left", `{"room":"order:o1"}`, ""), registeredPacket(domain.RoleDelivery, 9), "1",
		}})
		d.recovers, d.socket.pid = true, "pid"
		d.joined["order:o1"] = 4
		wantNoted(t, listen(t, d), "opened:5 registered:9! joined:order:o1:5 left:order:o1 closed")
	})
}

// Who goes on under its pid is in the rooms that it was in, unless it is told otherwise.
func TestARoomIsNotForgottenWhereADeviceGoesOn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, transport string) {
		for pid, want := range map[string]string{
			"pid":   "opened:5 FAULTY(order:o1, in which it was, is forgotten where it goes on: ",
			"other": "opened:5 registered:9! closed",
		} {
			d := sioListener(t, transport, domain.RoleCustomer, &script{messages: []string{connectPacket, registeredPacket(domain.RoleCustomer, 9), "1"}})
			d.recovers, d.socket.pid = true, pid
			d.joined["order:o1"] = 4
			if got := listen(t, d); !strings.HasPrefix(got, want) {
				t.Errorf("pid %s: noted %s, want %s", pid, got, want)
			}
		}
	})
}

func TestADeviceThatRecoversBringsItsPidAndOffset(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, transport string) {
		s := &script{messages: []string{connectPacket, registeredPacket(domain.RoleCustomer, 9), statusPacket("order:status:update", 10, "10"), "1"}}
		d := sioListener(t, transport, domain.RoleCustomer, s)
		d.recovers = true
		listen(t, d)
		s.messages = s.messages[:2]
		listen(t, d)
		if want := `40{"lastSeq":5,"offset":"10","pid":"pid","token":"Bearer token-of-ann"}`; s.said("40")[1] != want {
			t.Errorf("it came back with %s, want %s", s.said("40")[1], want)
		}
	})
}

func TestADeviceThatBeginsAnewBringsItsCursorAndRooms(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, transport string) {
		s := &script{messages: []string{connectPacket, registeredPacket(domain.RoleCustomer, 9, "order:o1"), "1"}}
		d := sioListener(t, transport, domain.RoleCustomer, s)
		d.joined["order:o1"] = 7
		wantNoted(t, listen(t, d), "opened:5 registered:9! joined:order:o1:5 closed")
		if want := `40{"lastSeq":5,"rooms":["order:o1"],"token":"Bearer token-of-ann"}`; s.said("40")[0] != want {
			t.Errorf("it came with %s, want %s", s.said("40")[0], want)
		}
	})
}

// Admins get order:status:changed just before order:status:update; a cut between them is mended by the next connection.
func TestThePairOfAdmins(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, transport string) {
		s := &script{messages: []string{
			connectPacket, registeredPacket(domain.RoleAdmin, 9), statusPacket(changed, 10, "10/1"), statusPacket("order:status:update", 10, "10"),
			statusPacket(changed, 11, "11/1"), "1",
		}}
		d := sioListener(t, transport, domain.RoleAdmin, s)
		d.recovers = true
		wantNoted(t, listen(t, d), "opened:5 registered:9! order:status:update:10 closed")
		if d.cursor != 10 || d.socket.offset != "11/1" {
			t.Errorf("it is at %d, offset %q", d.cursor, d.socket.offset)
		}
		s.messages = []string{connectPacket, registeredPacket(domain.RoleAdmin, 11), statusPacket("order:status:update", 11, "11"), "1"}
		wantNoted(t, listen(t, d), "opened:10 registered:11! order:status:update:11 closed")
	})
}

func TestWhatNoServerMaySayOverSocketIO(t *testing.T) {
	t.Parallel()
	customer, admin := domain.RoleCustomer, domain.RoleAdmin
	for name, c := range map[string]struct {
		role  domain.Role
		says  string
		fault string
	}{
		"a packet of Engine.IO that there is not":   {customer, "7", "a packet of Engine.IO"},
		"connected twice":                           {customer, connectPacket, "connected with"},
		"a disconnect":                              {customer, "41", "stays away"},
		"a refusal that keeps the client away":      {customer, `44{"message":"x","data":{"code":"unavailable"}}`, "refused with"},
		"an event that wants an answer":             {customer, `421["order:new",{}]`, "stays away"},
		"what is no event":                          {customer, `42["order:new"`, "no event"},
		"an event without data":                     {customer, `42["order:new"]`, "1 arguments"},
		"an event without an offset":                {customer, statusPacket("order:status:update", 10, ""), "has the offset"},
		"an offset of another seq":                  {customer, statusPacket("order:status:update", 10, "11"), "has the offset"},
		"an offset where none may be":               {customer, emitted("left", `{"room":"r"}`, "10"), "has the offset"},
		"an event without a seq":                    {customer, emitted("order:new", `{}`, "10"), "no seq"},
		"order:status:changed for customers":        {customer, statusPacket(changed, 10, "10/1"), "not expected"},
		"order:status:update without its companion": {admin, statusPacket("order:status:update", 10, "10"), "without order:status:changed"},
		"the answer to no question":                 {customer, `439[{}]`, "was not asked"},
		"an answer of two":                          {customer, `431[{},{}]`, "no acknowledgement"},
		"a message that there is not":               {customer, emitted("news", `{}`, ""), "there is no message"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, transport string) {
				d := sioListener(t, transport, c.role, &script{messages: []string{connectPacket, registeredPacket(c.role, 9), c.says}})
				got := listen(t, d)
				if !strings.HasPrefix(got, "opened:5 registered:9! FAULTY(") || !strings.Contains(got, c.fault) {
					t.Errorf("noted %s, want %s", got, c.fault)
				}
			})
		})
	}
}

func TestASessionOfEngineIOIsOpenedAsAgreed(t *testing.T) {
	t.Parallel()
	if sid, err := opened(openPacket); err != nil || sid != "engine" {
		t.Errorf("%q, %v", sid, err)
	}
	for _, packet := range []string{
		"", "4x", "0", "0{}", strings.Replace(openPacket, "engine", "", 1), strings.Replace(openPacket, "pingInterval", "x", 1),
		strings.Replace(openPacket, "upgrades", "x", 1), strings.Replace(openPacket, "65536", "0", 1),
	} {
		if _, err := opened(packet); err == nil {
			t.Errorf("%q opens a session", packet)
		}
	}
}
