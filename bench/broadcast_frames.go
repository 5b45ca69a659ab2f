package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
)

// frames reads what a server sends over WebSocket in place, and costs as little as can be, so that the servers are what
// is measured.
type frames struct {
	conn       net.Conn
	buf        []byte
	start, end int // of what is read and not yet used
}

// close cuts the connection, so that no port is kept waiting for what may still come: there are fewer ports than a run
// makes connections.
func (f *frames) close() {
	if f.conn == nil {
		return
	}
	_ = f.conn.(interface{ SetLinger(seconds int) error }).SetLinger(0)
	_ = f.conn.Close()
}

func (f *frames) handshake(host, path, protocol string) error {
	if err := f.sayHello(host, path, protocol); err != nil {
		return err
	}
	return f.greeted(protocol)
}

func (f *frames) sayHello(host, path, protocol string) error {
	_, err := fmt.Fprintf(f.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", path, host, protocolLine(protocol))
	return err
}

func protocolLine(protocol string) string {
	if protocol == "" {
		return ""
	}
	return "Sec-WebSocket-Protocol: " + protocol + "\r\n"
}

// greeted reads the answer to sayHello.
func (f *frames) greeted(protocol string) error {
	for {
		answer := f.buf[f.start:f.end]
		if size := bytes.Index(answer, []byte("\r\n\r\n")); size >= 0 {
			if !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) || !bytes.Contains(answer, []byte(protocolLine(protocol))) {
				return fmt.Errorf("the handshake was answered %.200s", answer)
			}
			f.start += size + 4
			return nil
		}
		if err := f.need(len(answer) + 1); err != nil {
			return err
		}
	}
}

// need reads until so many bytes are there.
func (f *frames) need(n int) error {
	if len(f.buf)-f.start < n {
		held := f.buf[f.start:f.end]
		if len(f.buf) < n {
			const largest = 1 << 20
			if n > largest {
				return fmt.Errorf("a message of %d bytes came", n)
			}
			f.buf = make([]byte, max(n, 2*len(f.buf)))
		}
		f.start, f.end = 0, copy(f.buf, held)
	}
	for f.end-f.start < n {
		got, err := f.conn.Read(f.buf[f.end:])
		if f.end += got; got == 0 && err != nil {
			return err
		}
	}
	return nil
}

// message returns the next text message, which is good until the next call. It answers pings.
func (f *frames) message() ([]byte, error) {
	for {
		if f.start == f.end {
			f.start, f.end = 0, 0
		}
		opcode, header, size, err := f.header()
		if err != nil {
			return nil, err
		}
		if err := f.need(header + size); err != nil {
			return nil, err
		}
		text := f.buf[f.start+header : f.start+header+size]
		f.start += header + size
		switch opcode {
		case 0x81:
			return text, nil
		case 0x89:
			if err := f.send(0x8A, text); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("a frame of kind %x came: %.200q", opcode, text)
		}
	}
}

func (f *frames) header() (opcode byte, header, size int, err error) {
	if err := f.need(2); err != nil {
		return 0, 0, 0, err
	}
	opcode, size, header = f.buf[f.start], int(f.buf[f.start+1]), 2
	switch size {
	case 126:
		if err := f.need(4); err != nil {
			return 0, 0, 0, err
		}
		return opcode, 4, int(binary.BigEndian.Uint16(f.buf[f.start+2:])), nil
	case 127:
		if err := f.need(10); err != nil {
			return 0, 0, 0, err
		}
		return opcode, 10, int(binary.BigEndian.Uint64(f.buf[f.start+2:]) & (1<<31 - 1)), nil
	}
	return opcode, header, size, nil
}

// say sends a text message.
func (f *frames) say(text []byte) error { return f.send(0x81, text) }

// send sends a frame, masked with zeros.
func (f *frames) send(opcode byte, payload []byte) error {
	frame := make([]byte, 0, len(payload)+8)
	switch {
	case len(payload) < 126:
		frame = append(frame, opcode, 0x80|byte(len(payload)))
	case len(payload) < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, opcode, 0x80|126), uint16(len(payload)))
	default:
		return errors.New("that is too much for one frame")
	}
	_, err := f.conn.Write(append(append(frame, 0, 0, 0, 0), payload...))
	return err
}
