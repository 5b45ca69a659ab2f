package ws

import (
	"encoding/binary"
	"sync"
)

// opcodes of RFC 6455. Frames of a server are final and not masked.
const (
	finalText  = 0x81
	finalClose = 0x88
	finalPing  = 0x89
	finalPong  = 0x8A
)

// longestControl is the most that a control frame may carry.
const longestControl = 125

// wire gathers frames that go out in one write. In batch mode the objects that are gathered share one text message.
// An empty wire holds no memory: its buffer is borrowed.
type wire struct {
	batch bool
	buf   []byte
	text  int // where the header of the open text frame is; -1 when there is none
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

func (w *wire) borrow() {
	if w.buf == nil {
		w.buf = *buffers.Get().(*[]byte)
	}
}

// reset empties the wire and gives its buffer back.
func (w *wire) reset() {
	const largest = 128 << 10 // a rare giant is left to the garbage collector
	if w.buf != nil && cap(w.buf) <= largest {
		b := w.buf[:0]
		buffers.Put(&b)
	}
	w.buf, w.text = nil, -1
}

// begin opens a text frame, or a line of the one that is open, and returns the buffer to append the object to.
func (w *wire) begin() []byte {
	w.borrow()
	if w.text >= 0 {
		return append(w.buf, '\n')
	}
	w.text = len(w.buf)
	return append(w.buf, finalText, 0, 0, 0) // the header of most messages
}

// end takes the buffer back with the object in it.
func (w *wire) end(buf []byte) {
	w.buf = buf
	if !w.batch {
		w.closeText()
	}
}

func (w *wire) line(object []byte) { w.end(append(w.begin(), object...)) }

// closeText writes the length of the open text frame, which is known only now.
func (w *wire) closeText() {
	if w.text < 0 {
		return
	}
	header, size := w.buf[w.text:], len(w.buf)-w.text-4
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
		header = w.buf[w.text:]
		copy(header[10:], header[4:4+size])
		header[1] = 127
		binary.BigEndian.PutUint64(header[2:], uint64(size))
	}
	w.text = -1
}

func (w *wire) control(opcode byte, payload []byte) {
	w.borrow()
	w.closeText()
	payload = payload[:min(len(payload), longestControl)]
	w.buf = append(w.buf, opcode, byte(len(payload))) //nolint:gosec // just cut
	w.buf = append(w.buf, payload...)
}

func (w *wire) close(code int, reason string) {
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
