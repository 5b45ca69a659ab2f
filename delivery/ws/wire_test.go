package ws

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestFrameEndFindsWhereAnotherFrameMayBegin(t *testing.T) {
	t.Parallel()
	w := wire{text: -1}
	var ends []int
	for _, size := range []int{0, 1, 125, 126, 300, 65535, 65536, 70000, 5} {
		w.line(bytes.Repeat([]byte("x"), size))
		ends = append(ends, len(w.buf))
		w.control(finalPing, nil)
		ends = append(ends, len(w.buf))
	}
	next := 0
	for offset := 1; offset <= len(w.buf); offset++ {
		if offset > ends[next] {
			next++
		}
		if got := frameEnd(w.buf, offset); got != ends[next] {
			t.Fatalf("frameEnd(%d) = %d, want %d", offset, got, ends[next])
		}
	}
	if got := frameEnd(w.buf, 0); got != 0 {
		t.Fatalf("frameEnd(0) = %d", got)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"event":"register","data":{"token":"Bearer x","lastSeq":5,"log":"a","rooms":["order:1"]},"id":1}`,
		`{"event":"join:order","data":"11111111-1111-1111-1111-111111111111","id":"a"}`,
		`{"event":"join:order","data":{"orderId":"11111111-1111-1111-1111-111111111111","lastSeq":0}}`,
		`{"event":"x","data":null,"id":null}`, `null`, `[]`, `{"event":1}`, `{"event":"x","id":[]}`,
		`{"event":"register","data":{"lastSeq":-1}}`, `{"event":"register","data":{"lastSeq":1e3}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := decode(text)
		if err != nil {
			return
		}
		if r.Event == "" {
			t.Error("a request without an event")
		}
		if r.ID != nil {
			if a := encodeAnswer(answer{Ack: r.ID}); !json.Valid(a) || bytes.IndexByte(a, '\n') >= 0 {
				t.Errorf("an answer that breaks a line: %s", a)
			}
		}
		if reg, err := decodeRegistration(r.Data); err == nil && reg.LastSeq != nil && *reg.LastSeq < 0 {
			t.Error("a negative cursor")
		}
		if room, err := decodeRoomRequest(r.Data); err == nil {
			if id, ok := parseOrderRoom(room.room()); !ok || id != room.OrderID {
				t.Errorf("room %q", room.room())
			}
		}
	})
}
