package proofs

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// Bounds of what is read of a file: the checkpoints that are written here have about 250 bytes.
const (
	maxNote = 4 << 10
	maxLine = 1 << 10
)

// part is a part of a file of checkpoints.
type part struct {
	offset, end int64
	note        string // as it stands in the file; empty: this part is no note
	// torn says that the part is the end of the file, and what a crash leaves of a note that was being written.
	torn bool
}

// noteReader takes a file of checkpoints apart: notes one after the other, each a text, an empty line, and lines of
// signatures. Whatever stands in the file, it takes little memory and comes to the end.
type noteReader struct {
	r      *bufio.Reader
	at     int64  // where the line is
	line   []byte // the next one, with its line break; empty: there is none
	length int64  // of it in the file: more than there is in line when that was too long and is cut
	ended  bool
}

func newNoteReader(r io.Reader, offset int64) *noteReader {
	return &noteReader{r: bufio.NewReaderSize(r, maxLine), at: offset}
}

// advance goes to the next line.
func (n *noteReader) advance() error {
	n.at += n.length
	n.line, n.length = n.line[:0], 0
	if n.ended {
		return nil
	}
	line, err := n.r.ReadSlice('\n')
	n.line = append(n.line, line...)
	n.length = int64(len(line))
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = n.r.ReadSlice('\n')
		n.length += int64(len(line))
	}
	if n.ended = errors.Is(err, io.EOF); n.ended {
		err = nil
	}
	return err
}

func (n *noteReader) cut() bool            { return n.length > int64(len(n.line)) }
func (n *noteReader) begins(s string) bool { return bytes.HasPrefix(n.line, []byte(s)) }

// brokenOff: the line is the last of the file and has no end.
func (n *noteReader) brokenOff() bool {
	return len(n.line) > 0 && !n.cut() && n.line[len(n.line)-1] != '\n'
}

// next returns the next part, io.EOF at the end.
func (n *noteReader) next() (part, error) {
	if n.length == 0 && !n.ended {
		if err := n.advance(); err != nil {
			return part{}, err
		}
	}
	for bytes.Equal(n.line, []byte("\n")) { // between notes
		if err := n.advance(); err != nil {
			return part{}, err
		}
	}
	switch {
	case n.length == 0:
		return part{}, io.EOF
	case n.begins(origin) && !n.cut():
		return n.readNote()
	case n.brokenOff() && strings.HasPrefix(origin, string(n.line)):
		p := part{offset: n.at, end: n.at + n.length, torn: true}
		return p, n.advance()
	default:
		return n.skip(n.at)
	}
}

// skip goes to the next line that may begin a note; what is left out, from offset on, is one part.
func (n *noteReader) skip(offset int64) (part, error) {
	for {
		if err := n.advance(); err != nil {
			return part{}, err
		}
		if n.length == 0 || n.begins(origin) {
			return part{offset: offset, end: n.at}, nil
		}
	}
}

// readNote reads the note that begins with the line.
func (n *noteReader) readNote() (part, error) {
	p := part{offset: n.at}
	var raw []byte
	split, signatures := false, 0
	for {
		ended := n.length == 0
		switch {
		case signatures > 0 && (ended || !n.begins(signature) || n.brokenOff()):
			p.end, p.note = n.at, string(raw)
			return p, nil
		case ended, n.brokenOff():
			p.end, p.torn = n.at+n.length, true
			return p, n.advance()
		case len(raw) > 0 && n.begins(origin): // the one in front of it has no signature
			p.end = n.at
			return p, nil
		case n.cut(), len(raw)+len(n.line) > maxNote, split != n.begins(signature):
			return n.skip(p.offset)
		}
		if n.begins(signature) {
			signatures++
		}
		split = split || len(n.line) == 1
		raw = append(raw, n.line...)
		if err := n.advance(); err != nil {
			return part{}, err
		}
	}
}
