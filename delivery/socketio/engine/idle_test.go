package engine_test

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
)

// Pongs and noops are no messages, so nobody above counts them.
func TestPacketsWithoutEndThatSayNothingEndTheSession(t *testing.T) {
	t.Parallel()
	for name, packet := range map[string]string{"pongs": "3", "noops": "6"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, nil)
			sid, p := w.open()
			if status, _ := w.post(sid, strings.Repeat(packet+"\x1e", 49)+packet); status != 200 {
				t.Fatalf("fifty are answered %d", status)
			}
			w.goesOn(p)
			if status, _ := w.post(sid, strings.Repeat(packet+"\x1e", 50)+packet); status != 400 {
				t.Errorf("a hundred and one are answered %d", status)
			}
			w.ended(p, engine.ReasonProtocol)

			sid, p = w.open()
			ws := w.socket(sid)
			w.say(ws, "2probe")
			w.hear(ws, "3probe")
			w.say(ws, "5")
			for range 101 {
				if ws.WriteMessage(websocket.TextMessage, []byte(packet)) != nil {
					break
				}
			}
			w.ended(p, engine.ReasonProtocol)
		})
	}
}
