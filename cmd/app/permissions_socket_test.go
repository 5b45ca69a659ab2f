package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"testing"

	"github.com/gorilla/websocket"
)

// The socket's events. A refusal is a code, "" is none; without a good token a connection is closed before anything.
var socketPermissions = map[string]struct {
	data func(o carried) any
	may  map[int]string
}{
	"register":          {nil, nil}, // how each of them begins
	"ping":              {nil, nil},
	"refresh":           {nil, nil},
	"join:order":        {func(o carried) any { return map[string]any{"orderId": o.order} }, map[int]string{anotherCustomer: "forbidden", anotherCourier: "forbidden"}},
	"leave:order":       {func(o carried) any { return map[string]any{"orderId": o.order} }, nil},
	"join:delivery":     {func(carried) any { return map[string]any{"deliveryId": "dave"} }, map[int]string{anotherCustomer: "forbidden", anotherCourier: "forbidden"}},
	"leave:delivery":    {func(carried) any { return map[string]any{"deliveryId": "dave"} }, nil},
	"delivery:location": {func(o carried) any { return here(o.order) }, map[int]string{theCustomer: "forbidden", anotherCustomer: "forbidden", anotherCourier: "forbidden", theAdmin: "forbidden"}},
}

func TestWhoMaySendWhatOverTheSocket(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	for _, name := range w.clientEvents(t) {
		if _, ok := socketPermissions[name]; !ok {
			t.Errorf("%s has no row: say who may send it", name)
		}
	}
	o := w.carried(t)
	for i, who := range askers {
		for _, name := range slices.Sorted(maps.Keys(socketPermissions)) {
			row := socketPermissions[name]
			data := any(map[string]any{"token": w.tokens[i]})
			if row.data != nil {
				data = row.data(o)
			}
			got := w.send(t, w.tokens[i], name, data)
			want := row.may[i]
			switch i {
			case nobody:
				want = "4401 unauthenticated"
			case expired:
				want = "4401 token_expired"
			}
			if got != want {
				t.Errorf("%s as %s: %q, want %q", name, who, got, want)
			}
		}
	}
}

// send registers with a token, sends one event, and returns how it was refused: the code of the answer, or the close.
func (w *ward) send(t *testing.T, token, event string, data any) string {
	t.Helper()
	messages := []map[string]any{{"event": "register", "data": map[string]any{"token": token}, "id": 1}}
	if event != "register" {
		messages = append(messages, map[string]any{"event": event, "data": data, "id": 2})
	}
	k := w.dial(t, nil)
	for _, m := range messages {
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		k.say(string(text))
	}
	for {
		text, err := k.next()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			return fmt.Sprintf("%d %s", closed.Code, closed.Text)
		}
		var f struct {
			Ack   int
			Error *struct{ Code string }
		}
		if err == nil {
			err = json.Unmarshal([]byte(text), &f)
		}
		switch {
		case err != nil:
			t.Fatalf("%s: %v", event, err)
		case f.Ack != len(messages):
		case f.Error != nil:
			return f.Error.Code
		default:
			return ""
		}
	}
}

// clientEvents are those of the socket that the server describes.
func (w *ward) clientEvents(t *testing.T) []string {
	t.Helper()
	var document struct {
		Operations map[string]struct {
			Action   string
			Messages []struct {
				Ref string `json:"$ref"`
			}
		}
		Components struct {
			Messages map[string]struct{ Name string }
		}
	}
	w.into(t, "/asyncapi.json", &document)
	var all []string
	for _, o := range document.Operations {
		for _, m := range o.Messages {
			if o.Action == "receive" {
				all = append(all, document.Components.Messages[path.Base(m.Ref)].Name)
			}
		}
	}
	if len(all) < 8 {
		t.Fatalf("the server describes only %v", all)
	}
	return all
}

// into reads a document that everybody may read.
func (w *ward) into(t *testing.T, path string, into any) {
	t.Helper()
	text, err := json.Marshal(w.ask(t, "GET", path, "", "").body)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
