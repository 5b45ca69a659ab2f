package engine

import (
	"encoding/base64"
	"sync"

	"github.com/orderlog/orderlog/delivery/socket"
)

// fullBatch is how many bytes are enough for one write.
const fullBatch = 32 << 10

// Batch gathers the messages that go out in one write. It belongs to Fill, and is not to be kept.
type Batch struct {
	wire     *socket.Wire // frames, for a WebSocket; nil: a payload, for polling
	payload  []byte
	messages int64
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

func borrow() []byte { return (*buffers.Get().(*[]byte))[:0] }

func giveBack(b []byte) {
	const largest = 128 << 10 // a rare giant is left to the garbage collector
	if cap(b) > 0 && cap(b) <= largest {
		buffers.Put(&b)
	}
}

// Begin opens a text message and returns the buffer to append its UTF-8 to. End must follow before anything else. The
// text must not hold the character U+001E, which separates the packets of a payload; JSON never does.
func (b *Batch) Begin() []byte {
	if b.wire != nil {
		return append(b.wire.Begin(), packetMessage)
	}
	return append(b.next(), packetMessage)
}

// End takes the buffer back, with the message in it.
func (b *Batch) End(buf []byte) {
	b.messages++
	b.end(buf)
}

// Text adds a text message.
func (b *Batch) Text(p []byte) { b.End(append(b.Begin(), p...)) }

// Binary adds a binary message.
func (b *Batch) Binary(p []byte) {
	b.messages++
	if b.wire != nil {
		b.wire.Binary(p)
		return
	}
	b.payload = base64.StdEncoding.AppendEncode(append(b.next(), binaryPrefix), p)
}

// Full says that enough is gathered for one write. What is added nevertheless goes out too.
func (b *Batch) Full() bool { return b.size() >= fullBatch }

// packet adds a packet of the protocol itself.
func (b *Batch) packet(kind byte, data string) {
	if b.wire != nil {
		b.end(append(append(b.wire.Begin(), kind), data...))
		return
	}
	b.end(append(append(b.next(), kind), data...))
}

// next is the payload with room for another packet.
func (b *Batch) next() []byte {
	if b.payload == nil {
		b.payload = borrow()
	}
	if len(b.payload) > 0 {
		return append(b.payload, separator)
	}
	return b.payload
}

func (b *Batch) end(buf []byte) {
	if b.wire != nil {
		b.wire.End(buf)
		return
	}
	b.payload = buf
}

func (b *Batch) size() int {
	if b.wire != nil {
		return b.wire.Len()
	}
	return len(b.payload)
}

// free gives the memory of a payload back.
func (b *Batch) free() {
	giveBack(b.payload)
	b.payload = nil
}
