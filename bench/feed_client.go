package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// follower is a client of the program's /ws with its own token, which holds every event to its place: none is missing
// before it, as its "prev" tells. It costs as little as can be.
type follower struct {
	*frames
	last int64 // the seq it was told of last
}

// dialFollower connects, and does not register yet.
func dialFollower(ctx context.Context, address string, buf []byte) (*follower, error) {
	host := strings.TrimPrefix(address, "http://")
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	f := &follower{frames: &frames{conn: conn, buf: buf}}
	if err := f.handshake(host, "/ws", "orderlog.v1"); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// register says who the client is and returns when the server knows. With a lastSeq of 0 or more what came after it is
// to be read next.
func (f *follower) register(token string, lastSeq int64) error {
	question := `{"event":"register","data":{"token":"` + token + `"`
	if f.last = lastSeq; lastSeq >= 0 {
		question += `,"lastSeq":` + strconv.FormatInt(lastSeq, 10)
	}
	if err := f.say([]byte(question + "}}")); err != nil {
		return err
	}
	said, err := f.other()
	if err == nil && said.Event != "registered" {
		err = fmt.Errorf("%s was the answer to register", said.Event)
	}
	if lastSeq < 0 {
		f.last = said.Data.Seq
	}
	return err
}

// said is what the server says beside events.
type said struct {
	Event string
	Data  struct {
		Seq          int64
		Code, Reason string
	}
}

// other reads what is not an event.
func (f *follower) other() (s said, err error) {
	text, err := f.message()
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

// event reads the next event or caught_up, for which it returns 0.
func (f *follower) event() (seq int64, err error) {
	for {
		text, err := f.message()
		if err != nil {
			return 0, err
		}
		if seq, ok, err := f.placed(text); ok || err != nil {
			return seq, err
		}
		var s said
		if err := json.Unmarshal(text, &s); err != nil {
			return 0, err
		}
		switch s.Event {
		case "caught_up":
			f.last = s.Data.Seq
			return 0, nil
		case "checkpoint":
			f.last = s.Data.Seq
		default:
			return 0, fmt.Errorf("after seq %d came %.200s", f.last, text)
		}
	}
}

// placed reads where an event is in the log. ok is false for what is no event.
func (f *follower) placed(text []byte) (seq int64, ok bool, err error) {
	rest, ok := bytes.CutPrefix(text, []byte(`{"prev":`))
	if !ok {
		return 0, false, nil
	}
	prev, rest := digits(rest)
	rest, ok = bytes.CutPrefix(rest, []byte(`,"seq":`))
	seq, _ = digits(rest)
	if !ok || prev != f.last || seq <= prev {
		return 0, false, fmt.Errorf("after seq %d came %.200s", f.last, text)
	}
	f.last = seq
	return seq, true, nil
}

// digits reads a number that is not negative.
func digits(text []byte) (n int64, rest []byte) {
	for len(text) > 0 && '0' <= text[0] && text[0] <= '9' {
		n, text = 10*n+int64(text[0]-'0'), text[1:]
	}
	return n, text
}

// tokenOf signs a user in for the time of a benchmark.
func tokenOf(user string, role domain.Role) (string, error) {
	return auth.Sign([]byte(benchSecret), auth.Identity{UserID: user, Role: role, ExpiresAt: time.Now().Add(2 * time.Hour)})
}
