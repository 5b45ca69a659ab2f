package eventstore

import (
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
// first, then by bytes), each once. Numbers are exact decimals without an exponent, with the zeros they were written
// with: 1.10 stays, 1e3 is 1000. Strings are escaped no more than JSON demands.
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

// appendString appends a JSON string, escaped as PostgreSQL does it: quotes, backslashes and control characters.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	dst = append(dst, s[start:]...)
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
