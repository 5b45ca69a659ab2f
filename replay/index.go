package replay

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

// maxActor is the longest user id that can be searched for, in bytes: 128 characters at most. What is longer was not
// written by a command; the index would not take it.
const maxActor = 512

// Index keeps audit_index, a row an event, by which events are searched. It is a model of group
// [projections.GroupProofs] and looks at envelopes only.
type Index struct{}

var _ projections.Model = Index{}

// Project adds a row for each of events.
func (Index) Project(ctx context.Context, tx pgx.Tx, events []projections.Event) error {
	if len(events) == 0 {
		return nil
	}
	seqs, types := make([]int64, len(events)), make([]string, len(events))
	actors, orders := make([]string, len(events)), make(pgtype.FlatArray[pgtype.UUID], len(events))
	for i, e := range events {
		k := KeysOf(e.Recorded)
		seqs[i], types[i], actors[i], orders[i] = e.Seq, e.Type, k.Actor, pgtype.UUID{Bytes: k.OrderID.UUID, Valid: k.OrderID.Valid}
	}
	var q pgx.Batch
	q.Queue(sqlAddKeys, seqs, types, actors, orders)
	if err := eventstore.AtEnd(ctx, tx, &q); err != nil {
		return fmt.Errorf("add to the audit's index: %w", err)
	}
	return nil
}

// Keys are what an event is found by: its row of audit_index is Seq, Type and these.
type Keys struct {
	// Actor is the user id in the event's meta; empty when it names nobody.
	Actor string
	// OrderID is the order the event is about: data.orderId, when that is a UUID as text.
	OrderID uuid.NullUUID
}

// KeysOf returns the keys of an event that was read from the log, whatever JSON its data and meta are.
func KeysOf(e eventstore.Recorded) Keys {
	var k Keys
	if text := text(member(e.Meta, "userId")); len(text) <= maxActor {
		k.Actor = text
	}
	// A UUID in quotes, and only in the form that everything here writes. No character of it is ever escaped.
	if value := member(e.Data, "orderId"); len(value) == 38 && value[0] == '"' {
		if id, err := uuid.ParseBytes(value[1:37]); err == nil {
			k.OrderID = uuid.NullUUID{UUID: id, Valid: true}
		}
	}
	return k
}

// text returns a JSON string's text, and nothing for any other value.
func text(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	for _, c := range value {
		if c == '\\' {
			var s string
			_ = json.Unmarshal(value, &s) // it is a string
			return s
		}
	}
	return string(value[1 : len(value)-1])
}

// member returns the value of a member of a JSON object, as it stands there; nil when there is none, or no object. The
// object must be valid, with each name once and spelled without escapes, as jsonb gives it. It is not decoded: every
// event that is appended, and every one that is verified, comes through here.
func member(object []byte, name string) []byte {
	i := skipSpace(object, 0)
	if i >= len(object) || object[i] != '{' {
		return nil
	}
	for i = skipSpace(object, i+1); i < len(object) && object[i] == '"'; i = skipSpace(object, i+1) {
		end := skipValue(object, i)
		colon := skipSpace(object, end)
		if colon >= len(object) || object[colon] != ':' {
			return nil
		}
		found := string(object[i+1:end-1]) == name
		i = skipSpace(object, colon+1)
		if end = skipValue(object, i); found {
			return object[i:end]
		}
		if i = skipSpace(object, end); i >= len(object) || object[i] != ',' {
			return nil
		}
	}
	return nil
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns where the value that begins at i ends.
func skipValue(b []byte, i int) int {
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return min(i+1, len(b))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			} else if depth < 0 { // the end of what this value is in
				return i
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}
