package packet_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/orderlog/orderlog/delivery/socketio/packet"
)

// Whatever is taken for a packet is written so that it is read as the same packet, within the bounds, and anything
// else is an error that says so.
func FuzzAPacketThatIsReadIsWrittenSoThatItIsReadAsTheSame(f *testing.F) {
	for _, c := range onTheWire {
		f.Add([]byte(c.text), bytes.Join(c.packet.Attachments, nil), uint8(1))
	}
	for _, text := range []string{`51-["a"]`, `69-1[]`, `2/,["a"]`, `0/a`, "2/\xff,[1]", `2/a/b,00[ "a" ] `} {
		f.Add([]byte(text), []byte("attached"), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text, attached []byte, size uint8) {
		const most, largest = 4, 256
		d := packet.Decoder{MaxAttachments: most, MaxBytes: largest}
		first, err := decode(&d, string(text), cut(attached, int(size), most)...)
		if err != nil {
			if !errors.Is(err, packet.ErrInvalid) && !errors.Is(err, packet.ErrTooLarge) && !errors.Is(err, errIncomplete) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if len(first.Attachments) > most || len(bytes.Join(first.Attachments, nil)) > largest {
			t.Fatalf("%q: %d attachments", text, len(first.Attachments))
		}
		written := packet.Append(nil, first)
		second, err := decode(&d, string(written), first.Attachments...)
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("%q is read as %+v, which is written %q and read as %+v, %v", text, first, written, second, err)
		}
	})
}

// cut makes n attachments of some bytes.
func cut(p []byte, size, n int) [][]byte {
	pieces := make([][]byte, n)
	for i := range pieces {
		k := min(size, len(p))
		pieces[i], p = p[:k], p[k:]
	}
	return pieces
}
