package namespace_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
	"github.com/orderlog/orderlog/delivery/socketio/packet"
)

// Whatever a client says, message after message, the server stays sane: what it answers are packets, and what was
// connected is closed in the end, once.
func FuzzWhateverAClientSaysTheServerStaysSane(f *testing.F) {
	for _, seed := range []string{
		"0\n2[\"e\"]\n27[\"e\",1]\n1\n0", "0/a,{\"token\":\"t\"}\n2/a,0[\"end\"]\n2/a,[\"e\"]\n0/a,", "0/no\n0\n0/b\n0/c\n0/d",
		"0\n51-[\"e\",{\"_placeholder\":true,\"num\":0}]\nb\x01\x02\n30[1]\n30[2]", "0\n2[\"fail\"]", "0\nb", "abc",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		c := newConnector(func(ctx context.Context, a *application, auth json.RawMessage) error {
			if a.socket.Namespace() == "/no" {
				return namespace.InvalidNamespace
			}
			a.event = func(ctx context.Context, e namespace.Event) error {
				switch {
				case e.Name == "end":
					a.socket.Disconnect()
				case e.Name == "fail":
					return errors.New("no")
				case e.ID != nil:
					return a.socket.Ack(ctx, *e.ID, e.Args)
				}
				return nil
			}
			a.fill = once(`["pulled"]`)
			return a.socket.Emit(ctx, "auth", auth)
		})
		l := newLine(t, namespace.Config{Connect: c.connect, MaxSockets: 3})
		for text := range bytes.SplitSeq(said, []byte{'\n'}) {
			data, binary := bytes.CutPrefix(text, []byte{'b'})
			err := l.peer.Receive(t.Context(), engine.Message{Binary: binary, Data: data})
			for answers := l.got(); len(answers) > 0; answers = l.got() {
				for _, answer := range answers {
					var d packet.Decoder
					if _, complete, err := d.Text([]byte(answer)); err != nil || !complete {
						t.Fatalf("%q is answered %q: %v", said, answer, err)
					}
				}
			}
			if err != nil || len(c.made) == cap(c.made) {
				break
			}
		}
		l.ends()
		for len(c.made) > 0 {
			if a := <-c.made; len(a.closed) != 1 {
				t.Fatalf("%q: a connection was closed %d times", said, len(a.closed))
			}
		}
	})
}
