package eventstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxEvents bounds the events of one [Append], and MaxData the bytes of one event's payload.
const (
	MaxEvents = 1024
	MaxData   = 1 << 20
)

// Validate refuses what could never be stored, with [ErrInvalid]. The store does so before it queues an
// append: one that the database refuses would fail a whole batch.
func (a Append) Validate() error {
	_, err := a.validate()
	return err
}

// validate also returns the encoded meta, which it had to make.
func (a Append) validate() (meta json.RawMessage, err error) {
	if err := a.Key.validate(a.Answer); err != nil {
		return nil, err
	}
	if meta, err = a.Meta.encode(); err == nil {
		err = storableJSON(meta)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: meta: %w", ErrInvalid, err)
	}
	events := 0
	for i, sa := range a.Streams {
		for _, other := range a.Streams[:i] {
			if other.Stream == sa.Stream {
				return nil, fmt.Errorf("%w: stream %s is named twice", ErrInvalid, sa.Stream)
			}
		}
		if err := sa.validate(); err != nil {
			return nil, err
		}
		events += len(sa.Events)
	}
	switch {
	case events > MaxEvents:
		return nil, fmt.Errorf("%w: %d events at once; the most is %d", ErrInvalid, events, MaxEvents)
	case events == 0 && a.Key == nil:
		return nil, fmt.Errorf("%w: no events and no idempotency key", ErrInvalid)
	}
	return meta, nil
}

// encode refuses what the encoder would put a replacement for: two users must not become one.
func (m Meta) encode() (json.RawMessage, error) {
	for _, s := range []string{m.UserID, m.Role, m.CorrelationID, m.CausationID, m.IdempotencyKey, m.RemoteAddr, m.Reason} {
		if !utf8.ValidString(s) {
			return nil, errors.New("not UTF-8")
		}
	}
	return json.Marshal(m)
}

func (sa StreamAppend) validate() error {
	if !isText(sa.Stream.Type) || sa.Expected < AnyVersion {
		return fmt.Errorf("%w: stream %s, expected version %d", ErrInvalid, sa.Stream, sa.Expected)
	}
	for i, e := range sa.Events {
		if !isText(e.Type) {
			return fmt.Errorf("%w: event %d of %s has no type", ErrInvalid, i, sa.Stream)
		}
		if err := storable(e.Data); err != nil {
			return fmt.Errorf("%w: data of %s in %s: %w", ErrInvalid, e.Type, sa.Stream, err)
		}
	}
	return nil
}

func (k *IdempotencyKey) validate(answer json.RawMessage) error {
	if k == nil {
		return nil
	}
	if !isText(k.Scope) || !isText(k.Key) {
		return fmt.Errorf("%w: an idempotency key needs a scope and a key of 1 to 1024 bytes of text", ErrInvalid)
	}
	if answer == nil {
		return nil
	}
	if err := storable(answer); err != nil {
		return fmt.Errorf("%w: answer: %w", ErrInvalid, err)
	}
	return nil
}

// isText tells what a PostgreSQL text column of reasonable size takes.
func isText(s string) bool {
	return s != "" && len(s) <= 1024 && utf8.ValidString(s) && !strings.Contains(s, "\x00")
}

// storable tells whether PostgreSQL's jsonb takes the value.
func storable(data json.RawMessage) error {
	switch {
	case len(data) > MaxData: // before it is read
		return tooLarge(data)
	case !utf8.Valid(data):
		return errors.New("not UTF-8")
	case !json.Valid(data):
		return errors.New("not valid JSON")
	}
	if err := storableNumbers(data); err != nil {
		return err
	}
	return storableJSON(data)
}

// storableJSON tells the same of what is JSON, and in UTF-8.
func storableJSON(data json.RawMessage) error {
	switch {
	case len(data) > MaxData:
		return tooLarge(data)
	case bytes.Contains(data, []byte(`\u`)):
		return storableEscapes(data)
	}
	return nil
}

func tooLarge(data []byte) error { return fmt.Errorf("%d bytes; the most is %d", len(data), MaxData) }

// storableEscapes refuses what JSON allows and jsonb does not: U+0000 and half a surrogate pair, both of
// which can be written only as escapes.
func storableEscapes(data []byte) error {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		i++ // valid JSON: something follows a backslash
		if data[i] != 'u' {
			continue
		}
		unit := hex4(data[i+1:])
		i += 4
		switch {
		case unit == 0:
			return errors.New(`it has the character \u0000, which cannot be stored`)
		case unit >= 0xDC00 && unit <= 0xDFFF:
			return errors.New("it has half a surrogate pair, which cannot be stored")
		case unit >= 0xD800 && unit <= 0xDBFF:
			next := data[i+1:]
			if len(next) < 6 || next[0] != '\\' || next[1] != 'u' || hex4(next[2:]) < 0xDC00 || hex4(next[2:]) > 0xDFFF {
				return errors.New("it has half a surrogate pair, which cannot be stored")
			}
			i += 6
		}
	}
	return nil
}

// hex4 reads the four hexadecimal digits at the start of b, which valid JSON guarantees.
func hex4(b []byte) int {
	n := 0
	for _, c := range b[:4] {
		n <<= 4
		switch {
		case c <= '9':
			n |= int(c - '0')
		default:
			n |= int(c|0x20-'a') + 10
		}
	}
	return n
}
