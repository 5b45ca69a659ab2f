package socket

import (
	"encoding/binary"
	"sync"
)

// opcodes of RFC 6455. Frames of a server are final and not masked.
const (
	finalText   = 0x81
	finalBinary = 0x82
	finalClose  = 0x88
	finalPing   = 0x89
	finalPong   = 0x8A
)

// longestControl is the most that a control frame may carry (RFC 6455, section 5.5).
const longestControl = 125

// Wire gathers frames that go out in one write. An empty one holds no memory: its buffer is borrowed. It is for one
// goroutine.
type Wire struct {
	lines bool
	buf   []byte
	open  int // where the header of the open frame is; -1 when there is none
}

// NewWire returns an empty wire. With lines, the texts that are gathered share one message, one a line.
func NewWire(lines bool) Wire { return Wire{lines: lines, open: -1} }

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

func (w *Wire) borrow() {
	if w.buf == nil {
		w.buf = *buffers.Get().(*[]byte)
	}
}

// Len is how many bytes are gathered.
func (w *Wire) Len() int { return len(w.buf) }

// Bytes finishes what is gathered and returns it. It is valid until the next call.
func (w *Wire) Bytes() []byte {
	w.closeFrame()
	return w.buf
}

// Reset empties the wire and gives its buffer back.
func (w *Wire) Reset() {
	const largest = 128 << 10 // a rare giant is left to the garbage collector
	if w.buf != nil && cap(w.buf) <= largest {
		b := w.buf[:0]
		buffers.Put(&b)
	}
	w.buf, w.open = nil, -1
}

// Stuck keeps of what Bytes returned only the rest of the frame in which a write stopped after so many bytes: another
// frame may begin only behind it.
func (w *Wire) Stuck(written int) {
	rest := w.buf[written:frameEnd(w.buf, written)]
	w.buf = append(w.buf[:0], rest...)
}

// Begin opens a text message, or a line of the one that is open, and returns the buffer to append the text to. End
// takes it back.
func (w *Wire) Begin() []byte {
	w.borrow()
	if w.open >= 0 { // only with lines
		return append(w.buf, '\n')
	}
	return w.begin(finalText)
}

// End takes the buffer of Begin back with the text in it.
func (w *Wire) End(buf []byte) {
	w.buf = buf
	if !w.lines {
		w.closeFrame()
	}
}

// Text adds a text message, or a line of one.
func (w *Wire) Text(p []byte) { w.End(append(w.Begin(), p...)) }

// Binary adds a binary message.
func (w *Wire) Binary(p []byte) {
	w.borrow()
	w.closeFrame()
	w.buf = append(w.begin(finalBinary), p...)
	w.closeFrame()
}

func (w *Wire) begin(opcode byte) []byte {
	w.open = len(w.buf)
	return append(w.buf, opcode, 0, 0, 0) // the header of most messages
}

// closeFrame writes the length of the open frame, which is known only now.
func (w *Wire) closeFrame() {
	if w.open < 0 {
		return
	}
	header, size := w.buf[w.open:], len(w.buf)-w.open-4
	switch {
	case size <= longestControl:
		header[1] = byte(size) //nolint:gosec // just compared
		copy(header[2:], header[4:])
		w.buf = w.buf[:len(w.buf)-2]
	case size <= 0xFFFF:
		header[1] = 126
		binary.BigEndian.PutUint16(header[2:], uint16(size))
	default:
		w.buf = append(w.buf, 0, 0, 0, 0, 0, 0)
		header = w.buf[w.open:]
		copy(header[10:], header[4:4+size])
		header[1] = 127
		binary.BigEndian.PutUint64(header[2:], uint64(size))
	}
	w.open = -1
}

func (w *Wire) control(opcode byte, payload []byte) {
	w.borrow()
	w.closeFrame()
	payload = payload[:min(len(payload), longestControl)]
	w.buf = append(w.buf, opcode, byte(len(payload))) //nolint:gosec // just cut
	w.buf = append(w.buf, payload...)
}

// Ping adds a ping, whose payload is cut to 125 bytes.
func (w *Wire) Ping(payload []byte) { w.control(finalPing, payload) }

// Pong adds a pong.
func (w *Wire) Pong(payload []byte) { w.control(finalPong, payload) }

// Close adds a close frame. Nothing may follow it.
func (w *Wire) Close(code int, reason string) {
	payload := binary.BigEndian.AppendUint16(nil, uint16(code)) //nolint:gosec // close codes are below 5000
	w.control(finalClose, append(payload, reason...))
}

// frameEnd returns the first end of a frame in buf at or after offset, so that a write which stopped within a
// frame can be brought to a place where another frame may begin.
func frameEnd(buf []byte, offset int) int {
	end := 0
	for end < offset {
		size, header := int(buf[end+1]), 2
		switch size {
		case 126:
			size, header = int(binary.BigEndian.Uint16(buf[end+2:])), 4
		case 127:
			size, header = int(binary.BigEndian.Uint64(buf[end+2:])), 10 //nolint:gosec // our own length
		}
		end += header + size
	}
	return end
}
