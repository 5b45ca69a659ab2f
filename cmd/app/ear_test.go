package main

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
)

// ear is a connection that keeps what it is told.
type ear struct {
	*socket
	token string
	in    map[string]span // the channels in which it is
	last  int64           // the seq it was last told of
	told  []news
	left  []string // the rooms it was told it is put out of
	put   []string // those it is to be told of
}

// span is which seqs a connection gets of a channel: those after one and before another.
type span struct{ after, before int64 }

// news is an event as the socket and the feed tell it.
type news struct {
	Prev, Seq int64
	Event, At string
	Data      map[string]any
}

// ear connects from the beginning of the log on.
func (s *server) ear(t *testing.T, token string, rooms ...string) *ear {
	t.Helper()
	asked, err := json.Marshal(rooms)
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{socket: s.register(t, token, `,"lastSeq":0,"rooms":`+string(asked)), token: token, in: map[string]span{}}
	var registered struct {
		Data struct{ Channels, Refused []string }
	}
	if err := json.Unmarshal([]byte(e.hears(`{"event":"registered","data":{"recovered":true}}`)), &registered); err != nil {
		t.Fatal(err)
	}
	for _, channel := range registered.Data.Channels {
		e.in[channel] = span{0, math.MaxInt64}
	}
	if len(e.in) != 3+len(rooms) {
		t.Fatalf("registered with %v", registered.Data)
	}
	return e
}

// join joins a room live.
func (e *ear) join(kind, id string) {
	e.t.Helper()
	e.in[kind+":"+id] = span{e.move("join", kind, id), math.MaxInt64}
}

// leave leaves a room. What happens later is not told there.
func (e *ear) leave(kind, id string) {
	e.t.Helper()
	room := kind + ":" + id
	e.in[room] = span{e.in[room].after, e.move("leave", kind, id) + 1}
}

func (e *ear) move(how, kind, id string) (seq int64) {
	e.t.Helper()
	var answer struct{ Data struct{ Seq int64 } }
	field := map[string]string{"order": "orderId", "delivery": "deliveryId"}[kind]
	text := e.ask(how+":"+kind, fmt.Sprintf(`{%q:%q}`, field, id), fmt.Sprintf(`{"data":{"room":"%s:%s","events":[],"more":false}}`, kind, id))
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		e.t.Fatal(err)
	}
	return answer.Data.Seq
}

// loses says with which event it is put out of a room.
func (e *ear) loses(room string, seq int64) {
	e.in[room] = span{e.in[room].after, seq}
	e.put = append(e.put, room)
}

// ask says something and returns the answer, which must have what is wanted.
func (e *ear) ask(event, data, want string) (answer string) {
	e.t.Helper()
	e.say(fmt.Sprintf(`{"event":%q,"data":%s,"id":1}`, event, data))
	answer = e.hear(func(f news) bool { return f.Event == "" })
	if !includes(e.t, answer, want) {
		e.t.Fatalf("%s is answered %s, want %s", event, answer, want)
	}
	return answer
}

func (e *ear) hearsUntil(seq int64) {
	e.t.Helper()
	e.hear(func(f news) bool { return f.Seq >= seq })
}

// isRefused asks for a room of others.
func (e *ear) isRefused(event, data string) {
	e.t.Helper()
	e.ask(event, data, `{"error":{"code":"forbidden"}}`)
}

// hear reads on and keeps what is told, until there is what it waits for.
func (e *ear) hear(found func(news) bool) string {
	e.t.Helper()
	for {
		text, err := e.next()
		if err != nil {
			e.t.Fatal(err)
		}
		var f news
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			e.t.Fatalf("%v: %s", err, text)
		}
		switch {
		case f.Seq > 0:
			if f.Prev != e.last {
				e.t.Errorf("last told of %d, then came %s", e.last, text)
			}
			e.last, e.told = f.Seq, append(e.told, f)
		case f.Event == "caught_up" || f.Event == "checkpoint":
			seq, _ := f.Data["seq"].(float64)
			e.last = int64(seq)
		case f.Event == "left":
			e.left = append(e.left, fmt.Sprint(f.Data["room"]))
		case f.Event != "":
			e.t.Errorf("heard %s", text)
		}
		if found(f) {
			return text
		}
	}
}

// check compares what was told with what the channels carried.
func (e *ear) check(who string, all []happening) {
	e.t.Helper()
	var owed []happening
	for _, h := range all {
		if slices.ContainsFunc(h.channels, func(c string) bool { in, ok := e.in[c]; return ok && in.after < h.seq && h.seq < in.before }) {
			owed = append(owed, h)
		}
	}
	var want, got []string
	for _, h := range owed {
		want = append(want, fmt.Sprint(h.seq, " ", h.event))
	}
	for _, f := range e.told {
		got = append(got, fmt.Sprint(f.Seq, " ", f.Event))
	}
	if !slices.Equal(got, want) {
		e.t.Errorf("%s was told\n%q, want\n%q", who, got, want)
		return
	}
	for i, h := range owed {
		var data map[string]any
		if err := json.Unmarshal([]byte(h.data), &data); err != nil {
			e.t.Fatalf("the test is wrong: %s: %v", h.data, err)
		}
		if !covers(e.told[i].Data, data) {
			e.t.Errorf("%s was told of %s with %v, want %s", who, want[i], e.told[i].Data, h.data)
		}
	}
	if !slices.Equal(e.left, e.put) {
		e.t.Errorf("%s was put out of %q, want %q", who, e.left, e.put)
	}
}

// checkFeed compares the user's feed with what was told. The feed's items are told of one after the other.
func (e *ear) checkFeed(who string, body map[string]any) {
	e.t.Helper()
	text, err := json.Marshal(body["items"])
	if err != nil {
		e.t.Fatal(err)
	}
	var items []news
	if err := json.Unmarshal(text, &items); err != nil {
		e.t.Fatal(err)
	}
	want := slices.Clone(e.told)
	for i := range want {
		want[i].Prev = 0
		if i > 0 {
			want[i].Prev = want[i-1].Seq
		}
	}
	if !reflect.DeepEqual(items, want) {
		e.t.Errorf("%s was told\n%v, and the feed has\n%v", who, want, items)
	}
}
