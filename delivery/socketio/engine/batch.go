package engine

// Batch gathers the messages that go out in one write. It belongs to Fill, and is not to be kept.
type Batch struct {
	buf []byte
}

// Begin opens a text message and returns the buffer to append its UTF-8 to. End must follow. The text must not hold
// the character U+001E, which separates the packets of a payload; JSON never does.
func (b *Batch) Begin() []byte { return b.buf }

// End takes the buffer back, with the message in it.
func (b *Batch) End(buf []byte) { b.buf = buf }

// Text adds a text message.
func (b *Batch) Text(p []byte) { b.End(append(b.Begin(), p...)) }

// Binary adds a binary message.
func (b *Batch) Binary(p []byte) { b.buf = append(b.buf, p...) }

// Full says that enough is gathered for one write. What is added nevertheless goes out too.
func (b *Batch) Full() bool { return len(b.buf) > 32<<10 }
