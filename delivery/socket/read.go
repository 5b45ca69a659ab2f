package socket

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// smallRead is how much is read at once where nothing is known to come. Clients send little, and there are many of them.
const smallRead = 128

// reading is what the reader's goroutine knows of the frames that the client sends.
type reading struct {
	buf        [smallRead]byte
	start, end int // of what is read and not yet used

	left    int64 // bytes of the open frame that are not read yet
	mask    [4]byte
	masked  int   // how many bytes of the frame are unmasked already
	within  bool  // a message has begun whose last frame is not read to its end
	final   bool  // the open frame is the last of its message
	limit   int64 // of a message's size; 0: there is none
	size    int64 // of the message so far
	onPing  func(payload string) error
	onPong  func(payload string) error
	failure error // nothing can be read any more

	begun  time.Time // when the reading of the message began; zero: it has not
	frames Meter     // of control frames and of tiny parts of messages
}

// protocolError says how a client breaks RFC 6455.
type protocolError string

func (e protocolError) Error() string { return "websocket: " + string(e) }

// IsProtocolError tells frames that break RFC 6455, or the limit of a message's size or of their own number, from a connection that is broken or
// was closed.
func IsProtocolError(err error) bool {
	var broken protocolError
	return errors.As(err, &broken) || errors.Is(err, websocket.ErrReadLimit) || errors.Is(err, ErrTooManyFrames)
}

// SetReadLimit bounds a message. One that is larger ends the reading with websocket.ErrReadLimit.
func (c *Conn) SetReadLimit(limit int64) { c.in.limit = limit }

// SetPingHandler has a function called with each ping, whose error ends the reading. It is to be set before.
func (c *Conn) SetPingHandler(h func(payload string) error) { c.in.onPing = h }

// SetPongHandler does so for pongs.
func (c *Conn) SetPongHandler(h func(payload string) error) { c.in.onPong = h }

// NextReader waits for the next message, of kind websocket.TextMessage or websocket.BinaryMessage, and passes over what is
// not read of the one before. The body is valid until the next call. Whoever waits in it holds a small stack and no
// buffer but the connection's own.
//
// Errors: a *websocket.CloseError when the client has closed, those that IsProtocolError knows, and the transport's. Each
// is the last: it comes again.
func (c *Conn) NextReader() (kind int, body io.Reader, err error) {
	for c.in.within {
		if err := c.skip(); err != nil {
			return 0, nil, err
		}
	}
	c.in.size, c.in.begun = 0, time.Time{}
	opcode, err := c.nextFrame()
	if err != nil {
		return 0, nil, err
	}
	c.in.within = true
	return int(opcode), message{c}, nil
}

// skip passes over what is left of a frame, and opens the next one of its message.
func (c *Conn) skip() error {
	if c.in.failure != nil {
		return c.in.failure
	}
	n := min(int64(c.in.end-c.in.start), c.in.left)
	c.in.start += int(n)
	passed, err := io.CopyN(io.Discard, c.raw, c.in.left-n)
	if c.in.left -= n + passed; err != nil {
		return c.failed(err)
	}
	return c.endFrame()
}

// endFrame opens the next frame of the message, if the last one is not at its end.
func (c *Conn) endFrame() error {
	if c.in.final {
		c.in.within = false
		return nil
	}
	_, err := c.nextFrame()
	return err
}

// message reads the message that is open.
type message struct{ *Conn }

func (m message) Read(p []byte) (int, error) {
	in := &m.in
	if now := time.Now(); in.begun.IsZero() {
		in.begun = now
	} else if now.Sub(in.begun) >= messageTime {
		return 0, m.failed(errSlowMessage)
	}
	for in.left == 0 {
		if !in.within {
			return 0, io.EOF
		}
		if err := m.endFrame(); err != nil {
			return 0, err
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(int64(len(p)), in.left)]
	n := copy(p, in.buf[in.start:in.end])
	in.start += n
	if n == 0 {
		var err error
		if n, err = m.raw.Read(p); n == 0 {
			return 0, m.failed(err)
		}
	}
	in.unmask(p[:n])
	in.left -= int64(n)
	return n, nil
}

func (in *reading) unmask(p []byte) {
	for i := range p {
		p[i] ^= in.mask[(in.masked+i)&3]
	}
	in.masked = (in.masked + len(p)) & 3
}

// failed keeps why nothing can be read any more. An end without a close frame is none of the protocol's.
func (c *Conn) failed(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	c.in.failure = err
	return err
}

// fill reads until so many bytes are in the buffer, which has room for them.
func (c *Conn) fill(n int) error {
	in := &c.in
	if in.failure != nil {
		return in.failure
	}
	if in.end-in.start >= n {
		return nil
	}
	in.start, in.end = 0, copy(in.buf[:], in.buf[in.start:in.end])
	for in.end < n {
		got, err := c.raw.Read(in.buf[in.end:])
		if in.end += got; got == 0 {
			return c.failed(err)
		}
	}
	return nil
}

// nextFrame opens the next frame of data. Control frames before it are served.
func (c *Conn) nextFrame() (opcode byte, err error) {
	for {
		opcode, err := c.header()
		if err != nil {
			return 0, err
		}
		// What is as large as a part that somebody has a reason to send pays for itself.
		tiny := opcode >= opClose || opcode == opContinuation && c.in.left < smallRead
		if tiny && !c.in.frames.Allow(time.Now(), maxFrames, frameSpan) {
			return 0, c.failed(ErrTooManyFrames)
		}
		if opcode < opClose {
			return opcode, nil
		}
		if err := c.serveControl(opcode); err != nil {
			return 0, c.failed(err)
		}
	}
}

const (
	opContinuation = 0
	opText         = websocket.TextMessage
	opBinary       = websocket.BinaryMessage
	opClose        = websocket.CloseMessage
	opPing         = websocket.PingMessage
	opPong         = websocket.PongMessage
)

// header reads the header of a frame. That of a control frame leaves the open message as it is, but for the mask.
func (c *Conn) header() (opcode byte, err error) {
	if err := c.fill(2); err != nil {
		return 0, err
	}
	in := &c.in
	first, second := in.buf[in.start], in.buf[in.start+1]
	opcode, final := first&0x0F, first&0x80 != 0
	size, skip := int64(second&0x7F), 2
	switch size {
	case 126:
		skip = 4
	case 127:
		skip = 10
	}
	if wrong := in.judge(first, second); wrong != "" {
		return 0, c.failed(protocolError(wrong))
	}
	if err := c.fill(skip); err != nil {
		return 0, err
	}
	switch size {
	case 126:
		size = int64(binary.BigEndian.Uint16(in.buf[in.start+2:]))
	case 127:
		long := binary.BigEndian.Uint64(in.buf[in.start+2:])
		if long > math.MaxInt64 {
			return 0, c.failed(protocolError("a length that is negative"))
		}
		size = int64(long)
	}
	if err := c.fill(skip + len(in.mask)); err != nil {
		return 0, err
	}
	copy(in.mask[:], in.buf[in.start+skip:])
	in.start += skip + len(in.mask)
	in.left, in.masked = size, 0
	if opcode >= opClose {
		return opcode, nil
	}
	in.final = final
	if in.limit > 0 && size > in.limit-in.size {
		return 0, c.failed(websocket.ErrReadLimit)
	}
	in.size += size
	return opcode, nil
}

// judge says what is wrong about the first two bytes of a frame; "" when nothing is.
func (in *reading) judge(first, second byte) string {
	opcode, final := first&0x0F, first&0x80 != 0
	control := opcode == opClose || opcode == opPing || opcode == opPong
	switch {
	case first&0x70 != 0:
		return "reserved bits are set"
	case second&0x80 == 0:
		return "a frame is not masked"
	case control && !final:
		return "a control frame has parts"
	case control && second&0x7F > longestControl:
		return "a control frame is too long"
	case control:
		return ""
	case opcode == opContinuation && !in.within:
		return "a message goes on that has not begun"
	case opcode != opContinuation && in.within:
		return "a message begins within another"
	case opcode > opBinary:
		return "the kind of a frame is unknown"
	}
	return ""
}

// serveControl reads a control frame and does what it asks for. It fits into the buffer, and comes between the frames of a
// message, so none of them is open.
func (c *Conn) serveControl(opcode byte) error {
	in := &c.in
	n := int(in.left)
	if err := c.fill(n); err != nil {
		return err
	}
	payload := in.buf[in.start : in.start+n]
	in.unmask(payload)
	in.start, in.left = in.start+n, 0
	switch {
	case opcode == opPing && in.onPing != nil:
		return in.onPing(string(payload))
	case opcode == opPong && in.onPong != nil:
		return in.onPong(string(payload))
	case opcode == opClose:
		return closedBy(payload)
	}
	return nil
}

// closedBy is the error of a close frame.
func closedBy(payload []byte) error {
	if len(payload) == 0 {
		return &websocket.CloseError{Code: websocket.CloseNoStatusReceived}
	}
	if len(payload) == 1 {
		return protocolError("a close frame has half a code")
	}
	code, text := int(binary.BigEndian.Uint16(payload)), payload[2:]
	switch {
	case !mayBeSent(code):
		return protocolError("a close frame has a code that may not be sent")
	case !utf8.Valid(text):
		return protocolError("the reason of a close frame is not UTF-8")
	}
	return &websocket.CloseError{Code: code, Text: string(text)}
}

// mayBeSent goes by RFC 6455, section 7.4.
func mayBeSent(code int) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1013, code >= 3000 && code <= 4999:
		return true
	}
	return false
}
