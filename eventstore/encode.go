package eventstore

import (
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgtype"
)

// parameters are those of [sqlAppend] in PostgreSQL's binary format. pgx encodes such arrays as well, but goes
// through an interface for every element, which takes four times as long; and nobody's events are stored meanwhile.
func (b *batch) parameters() [][]byte {
	e, k := &b.events, &b.keys
	moved, checked := b.streamRows()
	return [][]byte{
		texts(checked.streamType), ids(checked.streamID), bigints(checked.version),
		texts(moved.streamType), ids(moved.streamID), bigints(moved.found), bigints(moved.version), bigints(moved.first), bigints(moved.last),
		ids(e.id), texts(e.streamType), ids(e.streamID), bigints(e.version), texts(e.typ), jsons(e.data), jsons(e.meta),
		texts(k.scope), texts(k.key), array(pgtype.ByteaOID, k.fingerprint, 32, bytesElement),
		bigints(k.first), bigints(k.last), array(pgtype.TextOID, k.answer, 256, optionalElement), []byte(EventsChannel),
	}
}

func texts(values []string) []byte {
	return array(pgtype.TextOID, values, width(values), textElement)
}

func jsons(values [][]byte) []byte {
	return array(pgtype.JSONBOID, values, 1+width(values), jsonbElement)
}

func width[T string | []byte](values []T) int {
	sum := 0
	for _, v := range values {
		sum += len(v)
	}
	return 1 + sum/max(1, len(values))
}

func ids(values uuids) []byte       { return array(pgtype.UUIDOID, values, 16, uuidElement) }
func bigints(values []int64) []byte { return array(pgtype.Int8OID, values, 8, bigintElement) }

// An element appends a value to b, and answers false for a NULL.
func textElement(b []byte, v string) ([]byte, bool)      { return append(b, v...), true }
func jsonbElement(b []byte, v []byte) ([]byte, bool)     { return append(append(b, 1), v...), true } // the format's version
func bytesElement(b []byte, v []byte) ([]byte, bool)     { return append(b, v...), true }
func uuidElement(b []byte, v pgtype.UUID) ([]byte, bool) { return append(b, v.Bytes[:]...), true }
func bigintElement(b []byte, v int64) ([]byte, bool) {
	return binary.BigEndian.AppendUint64(b, uint64(v)), true //nolint:gosec // the same bits
}

func optionalElement(b []byte, v *string) ([]byte, bool) {
	if v == nil {
		return b, false
	}
	return append(b, *v...), true
}

// array is a one-dimensional array of elements of a type; width is about how many bytes each takes.
func array[T any](oid uint32, values []T, width int, element func(b []byte, v T) ([]byte, bool)) []byte {
	const null = 1<<32 - 1 // in place of a length
	put := binary.BigEndian.AppendUint32
	b := make([]byte, 0, 20+(4+width)*len(values))
	b = put(put(put(b, 1), 1), oid)         // one dimension, there may be NULLs
	b = put(put(b, uint32(len(values))), 1) //nolint:gosec // a batch's; counted from 1
	for _, v := range values {
		at := len(b)
		var there bool
		if b, there = element(put(b, null), v); there {
			binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4)) //nolint:gosec // at most MaxData
		}
	}
	return b
}
