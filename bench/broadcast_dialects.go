package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/orderlog/orderlog/bench/peers/peer"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/domain"
)

// dialect is what a kind of server says and wants to hear.
type dialect interface {
	path() string
	protocol() string
	// register makes a connection a user's and returns when the server will deliver to it.
	register(c *client) error
	// recover does too, but has what the user missed after a point told first, and returns behind that.
	recover(c *client, after point) error
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

func (d orderlogDialect) register(c *client) error {
	if err := d.say(c, ""); err != nil {
		return err
	}
	return c.until(func() bool { return c.registered })
}

func (d orderlogDialect) recover(c *client, after point) error {
	c.prev, c.last = after.n, after.n
	if err := d.say(c, `,"lastSeq":`+strconv.Itoa(after.n)); err != nil {
		return err
	}
	return c.until(func() bool { return c.caughtUp })
}

func (orderlogDialect) say(c *client, more string) error {
	role := c.role
	if role == "" {
		role = domain.RoleCustomer
	}
	token := deliverytest.Token(peer.User(c.user), role, time.Hour)
	return c.say([]byte(`{"event":"register","data":{"token":"` + token + `"` + more + `}}`))
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
		var m struct{ Data struct{ Seq int } }
		if err := json.Unmarshal(text, &m); err != nil {
			return 0, err
		}
		switch {
		case name == "registered":
			c.registered = true
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

func (centrifugeProtocol) register(c *client) error {
	_, err := connectCentrifuge(c, "")
	return err
}

func connectCentrifuge(c *client, more string) (answer []byte, err error) {
	if err := c.say([]byte(`{"id":1,"connect":{"token":"` + peer.User(c.user) + `"` + more + `}}`)); err != nil {
		return nil, err
	}
	answer, err = c.message()
	if err == nil && !bytes.HasPrefix(answer, []byte(`{"id":1,"connect":{`)) {
		err = fmt.Errorf("%.200s came", answer)
	}
	return answer, err
}

// recover reads the answer to the connect command, which has all that was missed.
func (centrifugeProtocol) recover(c *client, after point) error {
	answer, err := connectCentrifuge(c, fmt.Sprintf(`,"subs":{"all":{"recover":true,"offset":%d,"epoch":%q}}`, after.n, after.epoch))
	if err != nil {
		return err
	}
	if !bytes.Contains(answer, []byte(`"recovered":true`)) {
		return fmt.Errorf("nothing was recovered: %.200s", answer)
	}
	c.last = after.n
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

// end is the point that a centrifuge server's channel is at.
func (centrifugeProtocol) end(c *client) (point, error) {
	answer, err := connectCentrifuge(c, "")
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

func (bareProtocol) register(c *client) error {
	_, err := c.message()
	return err
}

func (bareProtocol) recover(*client, point) error { return fmt.Errorf("it keeps nothing") }

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
