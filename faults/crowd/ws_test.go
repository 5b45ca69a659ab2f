package crowd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain"
)

func registeredFrame(seq int64) string {
	return `{"event":"registered","data":` + hello(domain.RoleCustomer, seq, false) + `}`
}

func eventFrame(prev, seq int64) string {
	return fmt.Sprintf(`{"prev":%d,"seq":%d,"event":"order:status:update","data":{"orderId":"o1","status":"ready"},"at":"2026-03-01T12:00:00Z"}`, prev, seq)
}

func TestWhatIsToldOverAWebSocketIsNoted(t *testing.T) {
	t.Parallel()
	d := listener(t, ws, domain.RoleCustomer, &script{
		messages: []string{
			registeredFrame(5), eventFrame(5, 7), `{"event":"checkpoint","data":{"seq":9}}`, eventFrame(9, 10),
			`{"event":"reconnect","data":{"afterMs":1}}`,
		},
		code: 1001, reason: "server going away",
	})
	wantNoted(t, listen(t, d), "opened:-1 registered:5 order:status:update:5<7 checkpoint:9 order:status:update:9<10 reconnect:1 closed:1001:server going away")
	if e := d.log.Log[2]; e.Subject != "o1" || e.Digest == 0 {
		t.Errorf("noted %+v", e)
	}
	if at := d.reached(); at != 10 {
		t.Errorf("it is at %d", at)
	}
}

// With the batch's subprotocol a message has several objects, one a line.
func TestABatchHasAnObjectALine(t *testing.T) {
	t.Parallel()
	d := listener(t, wsBatch, domain.RoleCustomer, &script{messages: []string{registeredFrame(5) + "\n" + eventFrame(5, 7) + "\n" + eventFrame(7, 8)}})
	wantNoted(t, listen(t, d), "opened:-1 registered:5 order:status:update:5<7 order:status:update:7<8 closed")
}

func TestWhoComesBackBringsItsCursorItsLogAndItsRooms(t *testing.T) {
	t.Parallel()
	s := &script{messages: []string{registeredFrame(5), eventFrame(5, 7)}}
	d := listener(t, ws, domain.RoleCustomer, s)
	listen(t, d)
	d.joined["order:o1"] = 6
	s.messages = []string{
		`{"event":"registered","data":` + hello(domain.RoleCustomer, 20, true, "order:o1") + `}`,
		eventFrame(7, 8), `{"event":"caught_up","data":{"seq":20}}`,
	}
	wantNoted(t, listen(t, d), "opened:7 registered:20! joined:order:o1:7 order:status:update:7<8 caught_up:20 closed")
	for _, want := range []string{`"lastSeq":7`, `"log":"11111111-1111-4111-8111-111111111111"`, `"rooms":["order:o1"]`, `"token":"token-of-ann"`} {
		if !strings.Contains(s.said("")[1], want) {
			t.Errorf("it said %s without %s", s.said("")[1], want)
		}
	}
}

func TestAResyncSetsTheCursor(t *testing.T) {
	t.Parallel()
	d := listener(t, ws, domain.RoleCustomer, &script{
		messages: []string{registeredFrame(5), `{"event":"resync","data":{"seq":5,"reason":"ahead"}}`, eventFrame(5, 6)},
	})
	d.begun, d.cursor = true, 100
	wantNoted(t, listen(t, d), "opened:100 registered:5 resync:5:ahead order:status:update:5<6 closed")
	if at := d.reached(); at != 6 {
		t.Errorf("it is at %d", at)
	}
}

// What no server may say ends the connection, and is noted in words.
func TestWhatNoServerMaySayOverAWebSocket(t *testing.T) {
	t.Parallel()
	registered := registeredFrame(5)
	for name, c := range map[string]struct {
		says  string
		fault string
	}{
		"what is no JSON":                       {`{"event":`, "no frame"},
		"what is nothing of the protocol":       {`{"data":{}}`, "no frame"},
		"an event before it is registered":      {`FIRST` + eventFrame(5, 6), "before registered"},
		"a checkpoint before it is registered":  {`FIRST{"event":"checkpoint","data":{"seq":9}}`, "before registered"},
		"registered twice":                      {registered, "twice"},
		"registered as somebody else":           {`FIRST` + strings.Replace(registered, `"ann"`, `"bob"`, 1), "is registered as"},
		"registered with less than it must":     {`FIRST{"event":"registered","data":{"userId":"ann"}}`, "must have"},
		"a channel that it did not ask for":     {`FIRST{"event":"registered","data":` + hello(domain.RoleCustomer, 5, false, "order:o2") + `}`, "did not ask for"},
		"without a channel of its own":          {`FIRST` + strings.Replace(registered, `"user:ann"`, `"role:admin"`, 1), "did not ask for"},
		"an event that there is not":            {strings.Replace(eventFrame(5, 6), "order:status:update", "order:lost", 1), "there is no event"},
		"an event without data":                 {`{"prev":5,"seq":6,"event":"order:new","at":"2026-03-01T12:00:00Z"}`, "no object"},
		"an event without prev":                 {`{"seq":6,"event":"order:new","data":{},"at":"2026-03-01T12:00:00Z"}`, "no prev"},
		"an event without a time":               {`{"prev":5,"seq":6,"event":"order:new","data":{}}`, "no time"},
		"an event whose prev lies behind it":    {eventFrame(7, 6), "no prev before it"},
		"a message that there is not":           {`{"event":"news","data":{}}`, "there is no message"},
		"a checkpoint of the past":              {`{"event":"checkpoint","data":{"seq":4}}`, "comes behind"},
		"caught_up for who had no cursor":       {`{"event":"caught_up","data":{"seq":9}}`, "caught_up"},
		"a resync for who had no cursor":        {`{"event":"resync","data":{"seq":9,"reason":"ahead"}}`, "a resync"},
		"the end of a room in which it was not": {`{"event":"left","data":{"room":"order:o2"}}`, "in which it was not"},
		"the answer to no question":             {`{"ack":3,"data":{}}`, "was not asked"},
		"an error that it did not cause":        {`{"event":"error","data":{"code":"bad_message","message":""}}`, "the error"},
		"several objects in a message":          {eventFrame(5, 6) + "\n" + eventFrame(6, 7), "no frame"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{messages: []string{registered, c.says}}
			want := "opened:-1 registered:5 FAULTY("
			if first, ok := strings.CutPrefix(c.says, "FIRST"); ok {
				s.messages, want = []string{first}, "opened:-1 FAULTY("
			}
			got := listen(t, listener(t, ws, domain.RoleCustomer, s))
			if !strings.HasPrefix(got, want) || !strings.Contains(got, c.fault) {
				t.Errorf("noted %s, want %s… %s", got, want, c.fault)
			}
		})
	}
}

func TestHowAConnectionMayBeClosed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code   int
		reason string
		faulty bool
	}{
		{1001, "server going away", false},
		{1013, "unavailable", false},
		{4401, "token_expired", false},
		{4408, "register_timeout", false},
		{4409, "slow_consumer", false},
		{1000, "", true},
		{1011, "internal", true},
		{4400, "bad_message", true},
		{4403, "forbidden", true},
		{4409, "slow", true},
		{4429, "rate_limited", true},
	} {
		t.Run(fmt.Sprint(c.code, c.reason), func(t *testing.T) {
			t.Parallel()
			got := listen(t, listener(t, ws, domain.RoleCustomer, &script{messages: []string{registeredFrame(5)}, code: c.code, reason: c.reason}))
			if strings.Contains(got, "FAULTY") != c.faulty || !strings.Contains(got, fmt.Sprintf("closed:%d:%s", c.code, c.reason)) {
				t.Errorf("noted %s", got)
			}
		})
	}
}

func TestHowAHandshakeMayBeRefused(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{ws, wsBatch, sioSocket, sioPoll, sse} {
		for status, faulty := range map[int]bool{401: false, 429: false, 503: false, 400: true, 404: true, 500: true} {
			t.Run(fmt.Sprint(transport, status), func(t *testing.T) {
				t.Parallel()
				got := listen(t, listener(t, transport, domain.RoleCustomer, &script{status: status}))
				if strings.Contains(got, "FAULTY") != faulty {
					t.Errorf("noted %s", got)
				}
			})
		}
	}
}
