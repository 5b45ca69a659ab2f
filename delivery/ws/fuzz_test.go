package ws

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Nothing that a client sends makes a decoder panic, and what is taken is well formed.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"event":"register","data":{"token":"Bearer x","lastSeq":5,"log":"a","rooms":["order:1","delivery:d"]},"id":1}`,
		`{"event":"join:order","data":"11111111-1111-1111-1111-111111111111","id":"a"}`,
		`{"event":"join:order","data":{"orderId":"11111111-1111-1111-1111-111111111111","lastSeq":0}}`,
		`{"event":"join:delivery","data":{"deliveryId":"d\u0000","lastSeq":0}}`, `{"event":"join:delivery","data":"d"}`,
		`{"event":"delivery:location","data":{"orderId":"11111111-1111-1111-1111-111111111111","latitude":1e1,"longitude":-0,"speed":null,"heading":3}}`,
		`{"event":"delivery:location","data":{"orderId":"11111111-1111-1111-1111-111111111111","latitude":1e999,"longitude":"NaN"}}`,
		`{"event":"x","data":null,"id":null}`, `null`, `[]`, `{"event":1}`, `{"event":"x","id":[]}`, "{\"event\":\"\xff\"}",
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
		if reg, err := decodeRegistration(r.Data); err == nil {
			if reg.LastSeq != nil && *reg.LastSeq < 0 {
				t.Error("a negative cursor")
			}
		}
	})
}
