package asyncapi_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery/asyncapi"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/internal/asyncapitest"
)

type (
	served struct {
		OrderID uuid.UUID    `json:"orderId"`
		Table   *uuid.UUID   `json:"table"`
		Waiter  *uuid.UUID   `json:"waiter,omitempty"`
		Status  order.Status `json:"status"`
		Dishes  []dish       `json:"dishes"`
		Bill
	}
	dish struct {
		Name string `json:"name"`
	}
	Bill struct {
		Total int64      `json:"total"`
		Tip   *float64   `json:"tip,omitempty"`
		At    *time.Time `json:"at,omitempty"`
	}
	wish struct {
		Dish string `json:"dish"`
		Hot  *bool  `json:"hot,omitempty"`
	}
	hello struct {
		Name string `json:"name,omitempty"`
	}
	done    struct{}
	trouble struct {
		Code string `json:"code"`
	}
	weather struct {
		Rain bool `json:"rain"`
	}
)

func kitchen() asyncapi.Document {
	return asyncapi.Document{
		Version: "1.2.3", Host: "localhost:5000", Failure: trouble{},
		Events: []asyncapi.Event{{Name: "dish:served", Summary: "A dish was served.", Channels: []string{"role:admin", "user:GUEST"}, Data: reflect.TypeFor[served]()}},
		Client: []asyncapi.ClientMessage{
			{Name: "hello", Summary: "Comes in.", Data: hello{}, Ack: done{}},
			{Name: "dish:order", Summary: "Orders a dish.", Data: wish{}, Ack: done{}, Bare: true},
			{Name: "ping", Summary: "Asks.", Ack: done{}},
		},
		Server: []asyncapi.ServerMessage{{Name: "weather", Summary: "It rains.", Data: weather{}}, {Name: "pong", Summary: "Answers."}},
	}
}

func build(t *testing.T, d asyncapi.Document) []byte {
	t.Helper()
	text, err := asyncapi.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func conversation(t *testing.T) *asyncapitest.Conversation {
	t.Helper()
	checker, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return checker.Conversation()
}

var loaded = sync.OnceValues(func() (*asyncapitest.Checker, error) {
	text, err := asyncapi.Build(kitchen())
	if err != nil {
		return nil, err
	}
	return asyncapitest.Load(text)
})

const (
	envelope = `{"prev":0,"seq":7,"event":"dish:served","at":"2026-03-01T12:00:00Z","data":`
	meal     = `{"orderId":"0190c0de-0000-7000-8000-000000000001","table":null,"status":"placed","dishes":[],"total":9000}`
)

func TestFramesThatAreAsDescribed(t *testing.T) {
	t.Parallel()
	for name, frame := range map[string]string{
		"an event":                       envelope + meal + `}`,
		"with all that may be left out":  envelope + strings.Replace(meal, `"total"`, `"waiter":"0190c0de-0000-7000-8000-000000000001","tip":1.5,"at":"2026-03-01T12:00:00Z","total"`, 1) + `}`,
		"with a dish":                    envelope + strings.Replace(meal, "[]", `[{"name":"Dosa"}]`, 1) + `}`,
		"a message":                      `{"event":"weather","data":{"rain":true}}`,
		"a message without data":         `{"event":"pong"}`,
		"two of them, as in a batch":     `{"event":"pong"}` + "\n" + `{"event":"weather","data":{"rain":true}}`,
		"one, with the line's end as is": `{"event":"pong"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := conversation(t).Received([]byte(frame)); err != nil {
				t.Error(err)
			}
		})
	}
	for name, frame := range map[string]string{
		"a message":               `{"event":"dish:order","data":{"dish":"Dosa"}}`,
		"with an id":              `{"event":"dish:order","data":{"dish":"Dosa","hot":true},"id":7}`,
		"with an id that is text": `{"event":"dish:order","data":{"dish":"Dosa"},"id":"seven"}`,
		"with more than we know":  `{"event":"dish:order","data":{"dish":"Dosa","spicy":true},"more":1}`,
		"the bare thing":          `{"event":"dish:order","data":"Dosa"}`,
		"no data, as none is due": `{"event":"hello"}`,
		"none to have":            `{"event":"ping"}`,
	} {
		t.Run("from a client: "+name, func(t *testing.T) {
			t.Parallel()
			if err := conversation(t).Sent([]byte(frame)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFramesThatAreNot(t *testing.T) {
	t.Parallel()
	for name, frame := range map[string]string{
		"no JSON":                         `{"event"`,
		"an event nobody described":       `{"event":"fire","data":{}}`,
		"an event without its envelope":   `{"event":"dish:served","data":` + meal + `}`,
		"a seq of 0":                      strings.Replace(envelope, `"seq":7`, `"seq":0`, 1) + meal + `}`,
		"a time that is none":             strings.Replace(envelope, "2026-03-01T", "tomorrow", 1) + meal + `}`,
		"a member too many":               strings.Replace(envelope, `"prev"`, `"next":1,"prev"`, 1) + meal + `}`,
		"a member of the data too many":   envelope + strings.Replace(meal, `"total"`, `"secret":1,"total"`, 1) + `}`,
		"a member of the data too few":    envelope + strings.Replace(meal, `,"total":9000`, "", 1) + `}`,
		"an id that is none":              envelope + strings.Replace(meal, "0190c0de", "dosa", 1) + `}`,
		"a word that is none of the few":  envelope + strings.Replace(meal, "placed", "eaten", 1) + `}`,
		"a list that is null":             envelope + strings.Replace(meal, "[]", "null", 1) + `}`,
		"null for what can be left out":   envelope + strings.Replace(meal, `"total"`, `"waiter":null,"total"`, 1) + `}`,
		"half a price":                    envelope + strings.Replace(meal, "9000", "9000.5", 1) + `}`,
		"a message with a seq":            `{"event":"weather","seq":1,"data":{"rain":true}}`,
		"data where there is none":        `{"event":"pong","data":{}}`,
		"what only a client sends":        `{"event":"ping"}`,
		"the second of two":               `{"event":"pong"}` + "\n" + `{"event":"fire"}`,
		"an empty line":                   `{"event":"pong"}` + "\n\n",
		"an ack of nothing":               `{"ack":7,"data":{}}`,
		"an ack of what nobody described": `{"ack":8,"data":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := conversation(t)
			c.Asked([]byte(`{"event":"fire","id":8}`))
			if err := c.Received([]byte(frame)); err == nil {
				t.Error("passed")
			}
		})
	}
	for name, frame := range map[string]string{
		"no event":                  `{"data":{}}`,
		"what only the server says": `{"event":"pong"}`,
		"data of another type":      `{"event":"dish:order","data":{"dish":7}}`,
		"data that is missing":      `{"event":"dish:order"}`,
		"an empty object":           `{"event":"dish:order","data":{}}`,
		"a bare thing elsewhere":    `{"event":"hello","data":"Ada"}`,
		"an id of another kind":     `{"event":"ping","id":{}}`,
	} {
		t.Run("from a client: "+name, func(t *testing.T) {
			t.Parallel()
			if err := conversation(t).Sent([]byte(frame)); err == nil {
				t.Error("passed")
			}
		})
	}
}

func TestAcknowledgementsAreOfWhatWasAsked(t *testing.T) {
	t.Parallel()
	c := conversation(t)
	for _, frame := range []string{`{"event":"ping","id":1}`, `{"event":"dish:order","data":"Dosa","id":"two"}`} {
		if err := c.Sent([]byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	c.Asked([]byte(`{"event":"fire","id":3}`))
	for _, tc := range []struct {
		frame string
		fine  bool
	}{
		{`{"ack":2,"data":{}}`, false},
		{`{"ack":"two","data":{}}`, true},
		{`{"ack":"two","data":{}}`, false}, // once is enough
		{`{"ack":1,"error":{"code":"forbidden"}}`, true},
		{`{"ack":3,"error":{"code":"bad_message"}}`, true},
	} {
		if err := c.Received([]byte(tc.frame)); (err == nil) != tc.fine {
			t.Errorf("%s: %v", tc.frame, err)
		}
	}
	c.Asked([]byte(`{"event":"ping","id":4}`))
	if err := c.Received([]byte(`{"ack":4,"data":{"late":true}}`)); err == nil {
		t.Error("an acknowledgement with more than is described passed")
	}
}

func TestTheDocumentIsTheSameForTheSame(t *testing.T) {
	t.Parallel()
	first := build(t, kitchen())
	for range 5 {
		if again := build(t, kitchen()); !bytes.Equal(first, again) {
			t.Fatalf("\n%s\n%s", first, again)
		}
	}
	var d struct {
		AsyncAPI   string
		Info       struct{ Version string }
		Servers    map[string]struct{ Host string }
		Operations map[string]struct {
			Action string
			Reply  *struct{ Messages []any }
		}
		Components struct {
			Messages map[string]struct{ Summary string }
		}
	}
	if err := json.Unmarshal(first, &d); err != nil {
		t.Fatal(err)
	}
	if d.AsyncAPI != "3.0.0" || d.Info.Version != "1.2.3" || d.Servers["server"].Host != "localhost:5000" {
		t.Errorf("got %+v", d)
	}
	if got := d.Components.Messages["dish-served"].Summary; got != "A dish was served. For role:admin, user:GUEST." {
		t.Errorf("the event's channels are not told: %s", got)
	}
	for name, action := range map[string]string{"events": "send", "messages": "send", "dish-order": "receive", "hello": "receive", "ping": "receive"} {
		op := d.Operations[name]
		if op.Action != action || (op.Reply != nil) != (action == "receive") {
			t.Errorf("%s: %+v", name, op)
		}
	}
	if len(d.Operations) != 5 {
		t.Errorf("%d operations", len(d.Operations))
	}
}

// Two packages may have a type of the same name, and two messages may not have the same name.
func TestNames(t *testing.T) {
	t.Parallel()
	d := kitchen()
	d.Server = append(d.Server, asyncapi.ServerMessage{Name: "order", Data: order.Item{}}, asyncapi.ServerMessage{Name: "item", Data: Item{}})
	text := build(t, d)
	for _, name := range []string{`"Item":`, `"Asyncapi_testItem":`} {
		if !bytes.Contains(text, []byte(name)) {
			t.Errorf("there is no schema %s", name)
		}
	}
	if _, err := asyncapitest.Load(text); err != nil {
		t.Error(err)
	}

	d = kitchen()
	d.Server = append(d.Server, asyncapi.ServerMessage{Name: "dish:served"})
	if _, err := asyncapi.Build(d); err == nil || !strings.Contains(err.Error(), "dish:served") {
		t.Errorf("a message that is described twice: %v", err)
	}
	d = kitchen()
	d.Client = append(d.Client, asyncapi.ClientMessage{Name: "odd"})
	if _, err := asyncapi.Build(d); err == nil {
		t.Error("an acknowledgement without a type was described")
	}
}

// Item is named as one of the domain's types is.
type Item struct {
	Price int64 `json:"price"`
}

func TestDocumentsThatAreNot(t *testing.T) {
	t.Parallel()
	whole := string(build(t, kitchen()))
	for name, text := range map[string]string{
		"no JSON":                  whole[1:],
		"another version":          strings.Replace(whole, `"3.0.0"`, `"9.0.0"`, 1),
		"no version of the API":    strings.Replace(whole, `,"version":"1.2.3"`, "", 1),
		"an action that is none":   strings.Replace(whole, `"action":"send"`, `"action":"shout"`, 1),
		"a message that is gone":   strings.Replace(whole, `"#/components/messages/pong"`, `"#/components/messages/pang"`, 1),
		"a schema that is gone":    strings.Replace(whole, `"Weather":`, `"Climate":`, 1),
		"a type that is none":      strings.Replace(whole, `"type":"boolean"`, `"type":"bool"`, 1),
		"a message in no channel":  strings.Replace(whole, `"$ref":"#/channels/socket/messages/pong"`, `"$ref":"#/components/messages/pong"`, 1),
		"failures that are no ack": strings.Replace(whole, `"ack.failed":{"name"`, `"ack.fail":{"name"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if text == whole {
				t.Fatal("nothing was changed")
			}
			if _, err := asyncapitest.Load([]byte(text)); err == nil {
				t.Error("passed")
			}
		})
	}
}
