package socket

import (
	"bytes"
	"testing"
)

func TestFrameEndFindsWhereAnotherFrameMayBegin(t *testing.T) {
	t.Parallel()
	w := NewWire(false)
	var ends []int
	for _, size := range []int{0, 1, 125, 126, 300, 65535, 65536, 70000, 5} {
		w.Text(bytes.Repeat([]byte("x"), size))
		ends = append(ends, len(w.buf))
		w.Ping(nil)
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
