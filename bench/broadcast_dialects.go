package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/orderlog/orderlog/bench/peers/peer"
	"github.com/orderlog/orderlog/domain"
)

// dialect is what a kind of server says and wants to hear.
type dialect interface {
	path() string
	protocol() string
	// question is what a client says when it is connected, so that the server knows who it is; with a point, so that it
	// is told first what it missed after that.
	question(c *client, after *point) []byte
	// registered returns when the server will deliver to a client that has asked; until then it is errMore.
	registered(c *client) error
	// recovered returns behind what the client missed.
	recovered(c *client) error
	// line reads a line of a message, which is an event, with its number, or something else, with 0.
	line(c *client, text []byte) (n int, err error)
}

// point is a place in what a server has published.
type point struct {
	n     int    // the last event
	epoch string // centrifuge's
}

var (
	batchDialect      = orderlogDialect("orderlog.v1.batch")
	plainDialect      = orderlogDialect("orderlog.v1")
	centrifugeDialect = centrifugeProtocol{}
	gorillaDialect    = bareProtocol{}
)

// orderlogDialect is a subprotocol of ours.
type orderlogDialect string

func (orderlogDialect) path() string       { return "/ws" }
func (d orderlogDialect) protocol() string { return string(d) }

func (orderlogDialect) question(c *client, after *point) []byte {
	role, more := c.role, ""
	if role == "" {
		role = domain.RoleCustomer
	}
	if after != nil {
		c.prev, c.last = after.n, after.n
		more = `,"lastSeq":` + strconv.Itoa(after.n)
	}
	if len(c.rooms) > 0 {
		more += `,"rooms":["` + strings.Join(c.rooms, `","`) + `"]`
	}
	return []byte(`{"event":"register","data":{"token":"` + peer.Token(c.user, role) + `"` + more + `}}`)
}

func (orderlogDialect) registered(c *client) error {
	return c.until(func() bool { return c.isRegistered })
}

func (orderlogDialect) recovered(c *client) error {
	return c.until(func() bool { return c.caughtUp })
}

func (orderlogDialect) line(c *client, text []byte) (int, error) {
	if rest, ok := bytes.CutPrefix(text, []byte(`{"prev":`)); ok {
		prev, rest, _ := cutNumber(rest)
		rest, is := bytes.CutPrefix(rest, []byte(`,"seq":`))
		seq, _, ok := cutNumber(rest)
		if !is || !ok || prev != c.prev {
			return 0, fmt.Errorf("something is missing after %d: %.80s", c.prev, text)
		}
		c.prev = seq
		return seq, nil
	}
	for _, name := range []string{"registered", "caught_up", "checkpoint"} {
		if !bytes.HasPrefix(text, []byte(`{"event":"`+name+`"`)) {
			continue
		}
		var m struct {
			Data struct {
				Seq     int
				Refused []json.RawMessage
			}
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return 0, err
		}
		if len(m.Data.Refused) > 0 {
			return 0, fmt.Errorf("rooms are refused: %.200s", text)
		}
		switch {
		case name == "registered":
			c.isRegistered = true
			if c.prev > 0 { // it goes on from where it was
				return 0, nil
			}
		case name == "caught_up":
			c.caughtUp = true
		}
		c.prev = m.Data.Seq
		return 0, nil
	}
	return 0, fmt.Errorf("%.200s came", text)
}

// centrifugeProtocol is centrifuge's JSON protocol. The server subscribes the client to its channels, as it says at the
// connect command.
type centrifugeProtocol struct{}

func (centrifugeProtocol) path() string     { return "/connection/websocket" }
func (centrifugeProtocol) protocol() string { return "" }

func (centrifugeProtocol) question(c *client, after *point) []byte {
	more := ""
	if after != nil {
		c.last = after.n
		more = fmt.Sprintf(`,"subs":{"all":{"recover":true,"offset":%d,"epoch":%q}}`, after.n, after.epoch)
	}
	return []byte(`{"id":1,"connect":{"token":"` + peer.Token(c.user, domain.RoleCustomer) + `"` + more + `}}`)
}

func (centrifugeProtocol) answer(c *client) ([]byte, error) {
	answer, err := c.message()
	if err == nil && !bytes.HasPrefix(answer, []byte(`{"id":1,"connect":{`)) {
		err = fmt.Errorf("%.200s came", answer)
	}
	return answer, err
}

func (p centrifugeProtocol) registered(c *client) error {
	_, err := p.answer(c)
	return err
}

// recovered reads the answer to the connect command, which has all that was missed.
func (p centrifugeProtocol) recovered(c *client) error {
	answer, err := p.answer(c)
	if err != nil {
		return err
	}
	if !bytes.Contains(answer, []byte(`"recovered":true`)) {
		return fmt.Errorf("nothing was recovered: %.200s", answer)
	}
	for {
		_, rest, ok := bytes.Cut(answer, []byte(`{"data":{"n":`))
		if !ok {
			return nil
		}
		n, rest, _ := cutNumber(rest)
		if err := c.follow(n); err != nil {
			return err
		}
		answer = rest
	}
}

func (centrifugeProtocol) line(c *client, text []byte) (int, error) {
	if len(text) == 2 { // a ping
		return 0, c.say(text)
	}
	rest, ok := bytes.CutPrefix(text, []byte(`{"push":{"channel":"`))
	if ok {
		end := bytes.IndexByte(rest, '"')
		rest, ok = bytes.CutPrefix(rest[end+1:], []byte(`,"pub":{"data":{"n":`))
	}
	n, _, is := cutNumber(rest)
	if !ok || !is {
		return 0, fmt.Errorf("%.200s came", text)
	}
	return n, nil
}

// end reads the answer to the connect command, for the point that the channel is at.
func (p centrifugeProtocol) end(c *client) (point, error) {
	answer, err := p.answer(c)
	if err != nil {
		return point{}, err
	}
	var said struct {
		Connect struct {
			Subs map[string]struct {
				Offset int
				Epoch  string
			}
		}
	}
	err = json.Unmarshal(answer, &said)
	return point{said.Connect.Subs["all"].Offset, said.Connect.Subs["all"].Epoch}, err
}

// bareProtocol has nothing but events; a message without any says that the connection is known.
type bareProtocol struct{}

func (bareProtocol) path() string     { return "/ws" }
func (bareProtocol) protocol() string { return "" }

func (bareProtocol) question(*client, *point) []byte { return nil }

func (bareProtocol) registered(c *client) error {
	_, err := c.message()
	return err
}

func (bareProtocol) recovered(*client) error { return errors.New("it keeps nothing") }

func (bareProtocol) line(_ *client, text []byte) (int, error) {
	rest, ok := bytes.CutPrefix(text, []byte(`{"n":`))
	n, _, is := cutNumber(rest)
	if !ok || !is {
		return 0, fmt.Errorf("%.200s came", text)
	}
	return n, nil
}

// cutNumber reads the number that a text begins with.
func cutNumber(text []byte) (n int, rest []byte, ok bool) {
	i := 0
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		n = 10*n + int(text[i]-'0')
	}
	return n, text[i:], i > 0
}
