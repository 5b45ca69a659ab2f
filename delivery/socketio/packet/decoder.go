package packet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"
)

var (
	// ErrInvalid says that what came is no packet of the protocol. Nothing that comes after it can be trusted.
	ErrInvalid = errors.New("not a Socket.IO packet")
	// ErrTooLarge says that a packet has more attachments, or more bytes, than the decoder gathers.
	ErrTooLarge = errors.New("the packet is too large")
)

// What a Decoder gathers for one packet unless it is told otherwise.
const (
	DefaultMaxAttachments = 10
	DefaultMaxBytes       = 64 << 10
)

// longestNamespace is the most bytes that the name of a namespace may have.
const longestNamespace = 128

// Decoder makes packets of the messages of one session, in their order. It holds at most one packet, the one whose
// attachments have not all come. The zero Decoder is ready. It is for one goroutine, and of no use after an error.
type Decoder struct {
	// MaxAttachments is how many attachments a packet may have; 0: DefaultMaxAttachments, negative: none.
	MaxAttachments int
	// MaxBytes is how large the text of a packet with attachments, and these, may be together; 0: DefaultMaxBytes.
	// A text without attachments is as large as the transport lets it be.
	MaxBytes int

	partial Packet
	missing int // attachments of partial that have not come
	bytes   int // of partial so far
}

// Text decodes a text message. It says whether the packet is complete: one that waits for attachments is kept and
// comes out of Binary. The packet shares memory with the text. Every error is an ErrInvalid or an ErrTooLarge.
func (d *Decoder) Text(text []byte) (p Packet, complete bool, err error) {
	if d.missing > 0 {
		return Packet{}, false, fmt.Errorf("%w: a text where %d attachments of the packet before it are missing", ErrInvalid, d.missing)
	}
	p, attachments, err := decode(text, d.maxAttachments())
	if err != nil || attachments == 0 {
		return p, err == nil, err
	}
	if d.bytes = len(text); d.bytes > d.maxBytes() {
		return Packet{}, false, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, d.maxBytes())
	}
	p.Data = bytes.Clone(p.Data) // the text is the caller's again
	d.partial, d.missing = p, attachments
	return Packet{}, false, nil
}

// Binary takes the next attachment, and returns the packet when it was the last. The attachment is copied. Every
// error is an ErrInvalid or an ErrTooLarge.
func (d *Decoder) Binary(data []byte) (p Packet, complete bool, err error) {
	if d.missing == 0 {
		return Packet{}, false, fmt.Errorf("%w: a binary message that belongs to no packet", ErrInvalid)
	}
	if d.bytes += len(data); d.bytes > d.maxBytes() {
		return Packet{}, false, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, d.maxBytes())
	}
	d.partial.Attachments = append(d.partial.Attachments, bytes.Clone(data))
	if d.missing--; d.missing > 0 {
		return Packet{}, false, nil
	}
	p, d.partial = d.partial, Packet{}
	return p, true, nil
}

func (d *Decoder) maxAttachments() int {
	if d.MaxAttachments == 0 {
		return DefaultMaxAttachments
	}
	return max(d.MaxAttachments, 0)
}

func (d *Decoder) maxBytes() int {
	if d.MaxBytes == 0 {
		return DefaultMaxBytes
	}
	return d.MaxBytes
}

// decode reads the text of a packet and says how many attachments follow.
func decode(text []byte, maxAttachments int) (p Packet, attachments int, err error) {
	if !utf8.Valid(text) { // it would be replaced where it is read, and be another packet
		return p, 0, fmt.Errorf("%w: it is not UTF-8", ErrInvalid)
	}
	if len(text) == 0 || text[0] < '0' || text[0] > '0'+binaryAck {
		return p, 0, fmt.Errorf("%w: it begins with no packet type", ErrInvalid)
	}
	digit, rest := text[0]-'0', text[1:]
	if digit >= binaryEvent {
		digit -= binaryShift
		if attachments, rest, err = attachmentCount(rest, maxAttachments); err != nil {
			return p, 0, err
		}
	}
	p.Type = Type(digit)
	if p.Namespace, rest, err = namespaceOf(rest); err != nil {
		return p, 0, err
	}
	if p.ID, rest, err = idOf(rest); err != nil {
		return p, 0, err
	}
	if data := bytes.Trim(rest, " \t\r\n"); len(data) > 0 {
		p.Data = data
	}
	return p, attachments, p.check()
}

func attachmentCount(text []byte, most int) (n int, rest []byte, err error) {
	digits, rest, found := bytes.Cut(text, []byte{'-'})
	if !found || len(digits) == 0 || digitsIn(digits) != len(digits) {
		return 0, nil, fmt.Errorf("%w: a binary packet does not say how many attachments it has", ErrInvalid)
	}
	n, err = strconv.Atoi(string(digits))
	if err != nil || n > most {
		return 0, nil, fmt.Errorf("%w: more than %d attachments", ErrTooLarge, most)
	}
	return n, rest, nil
}

// namespaceOf reads the namespace. It ends at a comma, or with the text.
func namespaceOf(text []byte) (name string, rest []byte, err error) {
	if len(text) == 0 || text[0] != '/' {
		return Main, text, nil
	}
	named, rest, _ := bytes.Cut(text, []byte{','})
	if len(named) > longestNamespace {
		return "", nil, fmt.Errorf("%w: the name of a namespace has more than %d bytes", ErrInvalid, longestNamespace)
	}
	// The name is said back to the client, and Engine.IO separates packets by such a character.
	if bytes.ContainsFunc(named, unicode.IsControl) {
		return "", nil, fmt.Errorf("%w: the name of a namespace has a control character", ErrInvalid)
	}
	return string(named), rest, nil
}

func idOf(text []byte) (id *uint64, rest []byte, err error) {
	n := digitsIn(text)
	if n == 0 {
		return nil, text, nil
	}
	number, err := strconv.ParseUint(string(text[:n]), 10, 64)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the id of an acknowledgement does not fit into 64 bits", ErrInvalid)
	}
	return &number, text[n:], nil
}

func digitsIn(text []byte) int {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}

// check says whether a packet holds what its type asks for.
func (p Packet) check() error {
	if p.Data != nil && !json.Valid(p.Data) {
		return fmt.Errorf("%w: the payload of %s is not JSON", ErrInvalid, p.Type)
	}
	object := len(p.Data) > 0 && p.Data[0] == '{'
	array := len(p.Data) > 0 && p.Data[0] == '['
	fits, shape := false, ""
	switch p.Type {
	case Connect:
		fits, shape = (p.Data == nil || object) && p.ID == nil, "an object or nothing, and no id"
	case Disconnect:
		fits, shape = p.Data == nil && p.ID == nil, "nothing"
	case Event:
		fits, shape = array && named(p.Data), "an array that begins with the event's name"
	case Ack:
		fits, shape = array && p.ID != nil, "an array, and an id"
	case ConnectError:
		fits, shape = (object || len(p.Data) > 0 && p.Data[0] == '"') && p.ID == nil, "an object or text, and no id"
	}
	if !fits {
		return fmt.Errorf("%w: %s carries %s", ErrInvalid, p.Type, shape)
	}
	return nil
}

// named says that an array begins with what may be a name: text, or a number as the reference implementation has it.
func named(array json.RawMessage) bool {
	first := bytes.TrimLeft(array[1:], " \t\r\n")[0] // the array is valid JSON, so it has an end
	return first == '"' || first == '-' || '0' <= first && first <= '9'
}
