package engine

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"
	"unicode/utf8"
)

// decode decodes a whole payload.
func decode(body []byte) ([]packet, error) {
	p, err := newPayload(body)
	if err != nil {
		return nil, err
	}
	var all []packet
	for {
		next, ok, err := p.next()
		if err != nil || !ok {
			return all, err
		}
		next.message.Data = bytes.Clone(next.message.Data)
		all = append(all, next)
	}
}

func FuzzPayload(f *testing.F) {
	for _, seed := range []string{"", "4hello\x1e4world", "4hello\x1ebAQIDBA==", "3", "1", "6", "4", "b", "b!", "\x1e", "4\xff", "4a\x1e"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		packets, err := decode(body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		b := &Batch{}
		for _, p := range packets {
			switch {
			case p.kind != packetMessage:
				b.packet(p.kind, "")
				continue
			case p.message.Binary:
				b.Binary(p.message.Data)
				continue
			case !utf8.Valid(p.message.Data) || bytes.IndexByte(p.message.Data, separator) >= 0:
				t.Fatalf("a text is %q", p.message.Data)
			}
			b.Text(p.message.Data)
		}
		if err != nil || len(packets) == 0 {
			return
		}
		again, err := decode(b.payload)
		if err != nil || len(again) != len(packets) {
			t.Fatalf("what was decoded of %q is encoded as %q: %v", body, b.payload, err)
		}
		for i, p := range again {
			if p.kind != packets[i].kind || p.message.Binary != packets[i].message.Binary || !bytes.Equal(p.message.Data, packets[i].message.Data) {
				t.Fatalf("packet %d of %q is %v after another round, was %v", i, body, p, packets[i])
			}
		}
	})
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "4hello", "2probe", "3", "1", "5", "6", "abc", "4\xff", "b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := decodeText(text)
		switch {
		case err != nil:
		case p.kind != text[0] || p.message.Binary:
			t.Fatalf("%q is decoded as %v", text, p)
		case p.kind == packetMessage && (!bytes.Equal(p.message.Data, text[1:]) || !utf8.Valid(p.message.Data)):
			t.Fatalf("%q is decoded as %v", text, p)
		}
	})
}

func TestWhatIsWrongWithAPacketIsSaid(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]error{
		"": errEmptyPacket, "4a\x1e\x1e4b": errEmptyPacket, "x": errPacketType, "2": errPacketType,
		"4\xff": errNotUTF8, "b*": errNotBase64, "b" + base64.RawStdEncoding.EncodeToString([]byte("a")): errNotBase64,
	} {
		if _, err := decode([]byte(body)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", body, err, want)
		}
	}
}
