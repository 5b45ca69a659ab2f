// Package packet encodes and decodes the packets of the Socket.IO protocol 5, as its default parser writes them.
//
// A packet is one text, followed by one binary message for each of its attachments. The package knows no transport:
// what carries the messages (Engine.IO) keeps their order. Whatever a Decoder accepts encodes to messages that decode
// to the same packet.
package packet

import (
	"encoding/json"
	"strconv"
)

// Type says what a packet is for. Events and acknowledgements with attachments have types of their own on the wire
// (BINARY_EVENT and BINARY_ACK); here they are an Event or an Ack whose Attachments are not empty.
type Type byte

// The types of the Socket.IO protocol 5, section "Exchange protocol".
const (
	Connect Type = iota
	Disconnect
	Event
	Ack
	ConnectError
)

// What the wire calls an Event and an Ack with attachments, and how far their digits are from those without.
const (
	binaryEvent = 5
	binaryAck   = 6
	binaryShift = binaryEvent - byte(Event)
)

// String returns the name that the protocol gives to a type.
func (t Type) String() string {
	switch t {
	case Connect:
		return "CONNECT"
	case Disconnect:
		return "DISCONNECT"
	case Event:
		return "EVENT"
	case Ack:
		return "ACK"
	case ConnectError:
		return "CONNECT_ERROR"
	}
	return "type " + strconv.Itoa(int(t))
}

// Main is the namespace that is not named on the wire.
const Main = "/"

// Packet is one packet of the protocol.
type Packet struct {
	Type Type
	// Namespace begins with a slash and holds neither a comma nor a control character. Empty is Main; a decoded packet
	// has it always.
	Namespace string
	// ID is the number of an acknowledgement: the one an Event asks for, or the one an Ack gives. Nil: none.
	ID *uint64
	// Data is the payload, valid JSON: an object for Connect (nil: none), an array that begins with the name for an
	// Event, an array for an Ack, an object or text for a ConnectError, nothing for a Disconnect. Where an attachment
	// belongs there is a placeholder, {"_placeholder":true,"num":N}. A decoded packet's placeholders are not compared
	// with its attachments: whoever resolves one checks its number.
	Data json.RawMessage
	// Attachments are the binary messages behind the text, in the order of their numbers. Only an Event and an Ack
	// have any.
	Attachments [][]byte
}

// Append appends the text of a packet. The attachments follow it on the wire as messages of their own, which is for
// the caller. What the packet holds is not checked again; see Packet for what it must be.
func Append(dst []byte, p Packet) []byte {
	digit := '0' + byte(p.Type)
	if n := len(p.Attachments); n > 0 {
		dst = append(dst, digit+binaryShift)
		dst = strconv.AppendInt(dst, int64(n), 10)
		dst = append(dst, '-')
	} else {
		dst = append(dst, digit)
	}
	if p.Namespace != "" && p.Namespace != Main {
		dst = append(dst, p.Namespace...)
		dst = append(dst, ',')
	}
	if p.ID != nil {
		dst = strconv.AppendUint(dst, *p.ID, 10)
	}
	return append(dst, p.Data...)
}
