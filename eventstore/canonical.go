package eventstore

import (
	"encoding/json"
	"strconv"
	"time"
)

// canonicalTime is RFC 3339 in UTC, always with microseconds, which is all that PostgreSQL keeps.
const canonicalTime = "2006-01-02T15:04:05.000000Z"

// AppendCanonical appends the canonical bytes of an event that was read from the log: one line of JSON without
// whitespace, its members in this order:
//
//	{"seq":1,"id":UUID,"stream":"TYPE/UUID","version":1,"type":"order.placed","at":"2026-11-23T18:30:00.000000Z","data":{…},"meta":{…}}
//
// They are what an export has on a line, what the audit endpoints answer, and what the Merkle tree is made of: whoever has
// a line can check it. Members of data and meta come in the order in which PostgreSQL's jsonb keeps them (shorter names
// first, then by bytes), and numbers as they were written.
func (e Recorded) AppendCanonical(dst []byte) []byte {
	dst = append(dst, `{"seq":`...)
	dst = strconv.AppendInt(dst, e.Seq, 10)
	dst = append(dst, `,"id":"`...)
	dst = appendUUID(dst, e.ID)
	dst = append(dst, `","stream":`...)
	dst = appendString(dst, e.Stream.Type)
	dst[len(dst)-1] = '/' // in place of the closing quote
	dst = appendUUID(dst, e.Stream.ID)
	dst = append(dst, `","version":`...)
	dst = strconv.AppendInt(dst, e.Version, 10)
	dst = append(dst, `,"type":`...)
	dst = appendString(dst, e.Type)
	dst = append(dst, `,"at":"`...)
	dst = e.RecordedAt.UTC().Truncate(time.Microsecond).AppendFormat(dst, canonicalTime)
	dst = append(dst, `","data":`...)
	dst = appendCompact(dst, e.Data)
	dst = append(dst, `,"meta":`...)
	dst = appendCompact(dst, e.Meta)
	return append(dst, '}')
}

const hexDigits = "0123456789abcdef"

func appendUUID(dst []byte, id [16]byte) []byte {
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	return dst
}

// appendString appends a JSON string. The names of types are plain in practice, and copied.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string can always be encoded
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// appendCompact appends valid JSON without the whitespace between its tokens, in one pass: each event that is exported or
// verified goes through here twice.
func appendCompact(dst, src []byte) []byte {
	start, quoted := 0, false
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\\' {
				i++ // whatever is escaped
			}
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			dst = append(dst, src[start:i]...)
			start = i + 1
		}
	}
	return append(dst, src[start:]...)
}
