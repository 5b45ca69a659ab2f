package eventstore_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/orderlog/orderlog/eventstore"
)

// What pgx makes of the same values is what PostgreSQL is known to take.
func TestParametersAreEncodedAsPgxEncodesThem(t *testing.T) {
	t.Parallel()
	var batch []eventstore.Append
	for n := range int64(3) {
		a := one(fresh(), n*math.MaxInt32*7)
		a.Meta.Reason = strings.Repeat("é\"\\", int(n)*50)
		a.Streams = append(a.Streams, one(fresh(), math.MaxInt64-9).Streams...)
		for range 40 * n {
			a.Streams[1].Events = append(a.Streams[1].Events, eventstore.NewEvent{ID: uuid.New(), Type: "ünïcode", Data: json.RawMessage(`"…"`)})
		}
		a.Streams[1].Events = a.Streams[1].Events[:min(len(a.Streams[1].Events), 8)]
		a.Key = &eventstore.IdempotencyKey{Scope: "ann", Key: strings.Repeat("k", int(n)+1), Fingerprint: make([]byte, 32*n)}
		if n > 0 { // the first has none, which is NULL
			a.Answer = json.RawMessage(`{"n": 1}`)
		}
		batch = append(batch, a)
	}
	withoutKey := one(fresh(), 0)
	onlyKey := eventstore.Append{Key: &eventstore.IdempotencyKey{Scope: "bob", Key: "k"}}
	for name, appends := range map[string][]eventstore.Append{
		"several": batch, "without a key": {withoutKey}, "without events": {onlyKey},
	} {
		values, encoded, err := eventstore.Parameters(appends)
		if err != nil {
			t.Fatal(err)
		}
		if len(values) != len(parameterTypes) || len(encoded) != len(parameterTypes) {
			t.Fatalf("%s: %d values and %d encoded, want %d", name, len(values), len(encoded), len(parameterTypes))
		}
		types := pgtype.NewMap()
		for i, oid := range parameterTypes {
			want, err := types.Encode(oid, pgtype.BinaryFormatCode, values[i], nil)
			if err != nil {
				t.Fatal(err)
			}
			// Whether there are NULLs is a hint, and always given here.
			got := bytes.Clone(encoded[i])
			if oid != pgtype.TextOID {
				want[7] = got[7]
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s: parameter %d of type %d is\n%x\nand pgx makes\n%x", name, i+1, oid, got, want)
			}
		}
	}
}

// parameterTypes are those of the parameters of sqlAppend.
var parameterTypes = []uint32{
	pgtype.TextArrayOID, pgtype.UUIDArrayOID, pgtype.Int8ArrayOID,
	pgtype.TextArrayOID, pgtype.UUIDArrayOID, pgtype.Int8ArrayOID, pgtype.Int8ArrayOID, pgtype.Int8ArrayOID, pgtype.Int8ArrayOID,
	pgtype.UUIDArrayOID, pgtype.TextArrayOID, pgtype.UUIDArrayOID, pgtype.Int8ArrayOID, pgtype.TextArrayOID, pgtype.JSONBArrayOID, pgtype.JSONBArrayOID,
	pgtype.TextArrayOID, pgtype.TextArrayOID, pgtype.ByteaArrayOID, pgtype.Int8ArrayOID, pgtype.Int8ArrayOID, pgtype.TextArrayOID,
	pgtype.TextOID,
}

func BenchmarkParameters(b *testing.B) {
	appends := make([]eventstore.Append, 64)
	for i := range appends {
		appends[i] = one(fresh(), 1)
		appends[i].Meta = eventstore.Meta{UserID: "u-1", Role: "admin", CorrelationID: uuid.NewString(), RemoteAddr: "127.0.0.1"}
		appends[i].Streams[0].Events[0].Data = json.RawMessage(`{"message":"` + strings.Repeat("m", 200) + `"}`)
	}
	encode, err := eventstore.ParametersAgain(appends)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		encode()
	}
}
