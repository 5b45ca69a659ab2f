package engine

import (
	"bytes"
	"encoding/base64"
	"errors"
	"unicode/utf8"
)

// The types of packets (Engine.IO protocol 4, "Protocol").
const (
	packetOpen    = '0'
	packetClose   = '1'
	packetPing    = '2'
	packetPong    = '3'
	packetMessage = '4'
	packetUpgrade = '5'
	packetNoop    = '6'
)

const (
	separator    = 0x1e // between the packets of a payload
	binaryPrefix = 'b'  // of a message in base64 within a payload
	probe        = "probe"
)

var (
	errEmptyPacket = errors.New("engine: an empty packet")
	errPacketType  = errors.New("engine: a packet of a type that clients do not send")
	errNotUTF8     = errors.New("engine: a text that is not UTF-8")
	errNotBase64   = errors.New("engine: a binary message that is not base64")
)

// packet is one of a client.
type packet struct {
	kind    byte
	message Message // of packetMessage
}

// decodeText decodes the text of a WebSocket message.
func decodeText(text []byte) (packet, error) {
	switch {
	case len(text) == 0:
		return packet{}, errEmptyPacket
	case !utf8.Valid(text):
		return packet{}, errNotUTF8
	}
	return decodeValid(text)
}

// decodeValid decodes a packet that is UTF-8 and has at least one byte.
func decodeValid(text []byte) (packet, error) {
	switch kind := text[0]; kind {
	case packetMessage:
		return packet{kind: kind, message: Message{Data: text[1:]}}, nil
	case packetClose, packetPong, packetNoop:
		return packet{kind: kind}, nil
	}
	return packet{}, errPacketType
}

// payload is the body of a request, packet after packet. What is decoded of one is valid until the next.
type payload struct {
	rest    []byte
	more    bool   // even an empty body holds one packet, which is empty
	scratch []byte // of base64
}

// newPayload fails when the body is not UTF-8.
func newPayload(body []byte) (*payload, error) {
	if !utf8.Valid(body) {
		return nil, errNotUTF8
	}
	return &payload{rest: body, more: true}, nil
}

// next decodes the next packet. It answers false when there is none.
func (p *payload) next() (packet, bool, error) {
	if !p.more {
		return packet{}, false, nil
	}
	var text []byte
	text, p.rest, p.more = bytes.Cut(p.rest, []byte{separator})
	switch {
	case len(text) == 0:
		return packet{}, true, errEmptyPacket
	case text[0] != binaryPrefix:
		decoded, err := decodeValid(text)
		return decoded, true, err
	}
	data, err := base64.StdEncoding.AppendDecode(p.scratch[:0], text[1:])
	if err != nil {
		return packet{}, true, errNotBase64
	}
	p.scratch = data
	return packet{kind: packetMessage, message: Message{Binary: true, Data: data}}, true, nil
}
