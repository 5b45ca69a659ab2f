package eventstore_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// payloads are what events are made of, and what PostgreSQL's jsonb and JSON do not agree about.
var payloads = []string{
	`{"to":"confirmed","from":"placed","orderId":"0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55","items":[{"quantity":2,"unitPrice":450}]}`,
	`{"point":{"latitude":45.4642,"longitude":9.19,"speed":1e1,"accuracy":5e-324}}`, `[1.7976931348623157e+308,-9223372036854775808]`,
	`{}`, `[]`, `null`, ` "a" `, `"\u0000"`, `"\\u0000"`, `"\ud83c\udf55"`, `"\ud83c"`, `"\udf55\ud83c"`, `"\ud83c\\udf55"`, "\"\xff\"", "\"\x00\"", `"é 🍕 \u2028"`,
	`-0`, `1e131071`, `1e131072`, `1e-16384`, `0e999999999999999999999`, `1E+0002`, `1.50`, `[1e900,1e900]`, `"1e131072"`, `{"1e131072":"\"1e131072"}`,
	`{"a":1,"a":2}`, `{"a":{"b":1},"a":{"b":2,"b":3}}`, `{"":0}`, `[[[[[[[[]]]]]]]]`, `{`, `1e`, `01`, `.5`, `1 2`, `tru`, "",
}

// Whatever is let in can be stored and is read as the same value, in not much more bytes; and nothing is kept out that
// PostgreSQL would take, but for numbers that are too long.
func FuzzWhatIsLetInIsReadBackAsTheSame(f *testing.F) {
	pool := pgtest.Pool(f, pgtest.Database(f))
	for _, data := range payloads {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a := one(fresh(), 0)
		a.Streams[0].Events[0].Data = data
		refused := a.Validate()
		if refused != nil && !errors.Is(refused, eventstore.ErrInvalid) {
			t.Fatalf("%q is refused with %v", data, refused)
		}
		var read []byte
		err := pool.QueryRow(t.Context(), `SELECT convert_from($1, 'UTF8')::jsonb::text`, data).Scan(&read)
		var said *pgconn.PgError
		switch {
		case err != nil && !errors.As(err, &said):
			t.Fatal(err)
		case refused == nil && err != nil:
			t.Fatalf("%q is let in, and PostgreSQL says %v", data, err)
		case refused != nil && err == nil && len(read) <= eventstore.MaxDigits && json.Valid(data) && len(data) <= eventstore.MaxDigits && !isZero(data):
			t.Fatalf("%q is refused, and PostgreSQL takes it: %v", data, refused)
		case refused != nil:
			return
		}
		if len(read) > 2*eventstore.MaxData {
			t.Errorf("%d bytes are let in, and %d are read", len(data), len(read))
		}
		if want, got := valueOf(t, data), valueOf(t, read); !reflect.DeepEqual(want, got) {
			t.Errorf("%q is read as %q", data, read)
		}
	})
}

// isZero says whether there may be a nought with a large exponent, which is one digit after all.
func isZero(data []byte) bool { return bytes.ContainsAny(data, "eE") && bytes.ContainsRune(data, '0') }

// valueOf is what a JSON value means: numbers are numbers, however they are written; of a name that is there twice the
// last counts.
func valueOf(t *testing.T, data []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return exact(v)
}

func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		r, _ := new(big.Rat).SetString(string(v))
		return r.String()
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = exact(v[k])
		}
	}
	return v
}

// Whatever is given to Append, it is stored as it was given or nothing of it is, and what waits beside it is stored.
func FuzzAnAppendIsStoredAsItIsGivenOrRefusedAlone(f *testing.F) {
	pool := pgtest.Pool(f, pgtest.Database(f))
	for i, data := range payloads {
		f.Add([]byte(data), "order", "order.placed", int64(i%3-1), "ann", "key", []byte("f"), "ann", "hunger")
	}
	for _, text := range []string{"", "a\x00b", "\xff", "é", "\u2028", `"\`, "\ufffd"} {
		f.Add([]byte("{}"), text, "t", int64(0), "s", "k", []byte(nil), "u", "")
		f.Add([]byte("{}"), "s", text, int64(1), "s", "k", []byte{0}, "u", "")
		f.Add([]byte("{}"), "s", "t", int64(1<<63-1), text, "k", []byte{0}, "u", "")
		f.Add([]byte("{}"), "s", "t", int64(-1<<63), "s", text, []byte{0}, text, text)
	}
	f.Fuzz(func(t *testing.T, data []byte, stream, typ string, expected int64, scope, key string, fingerprint []byte, user, reason string) {
		store := eventstore.Open(pool, eventstore.Options{})
		id := eventstore.StreamID{Type: stream, ID: uuid.New()}
		a := eventstore.Append{
			Streams: []eventstore.StreamAppend{{Stream: id, Expected: expected, Events: []eventstore.NewEvent{
				{Type: typ, Data: data}, {Type: typ, Data: data},
			}}},
			Meta: eventstore.Meta{UserID: user, Reason: reason},
		}
		if key != "-" {
			a.Key = &eventstore.IdempotencyKey{Scope: scope, Key: key + uuid.NewString(), Fingerprint: fingerprint}
			a.Answer = data
		}
		good := one(fresh(), 0)
		answers := together(t, store, one(fresh(), eventstore.AnyVersion), a, good)
		if answers[0].err != nil || answers[2].err != nil {
			t.Fatalf("what waited beside %+v: %v, %v", a, answers[0].err, answers[2].err)
		}
		log, err := store.ReadLog(t.Context(), answers[0].result.FirstSeq, 10)
		if err != nil {
			t.Fatal(err)
		}
		var conflict *eventstore.ConflictError
		switch err := answers[1].err; {
		case errors.Is(err, eventstore.ErrInvalid) || errors.As(err, &conflict) && expected > 0:
			if len(log) != 1 || log[0].Stream != good.Streams[0].Stream {
				t.Fatalf("%+v is refused, and the log has %+v", a, log)
			}
			return
		case err != nil:
			t.Fatalf("%+v: %v", a, err)
		}
		if len(log) != 3 || log[0].Stream != id || log[1].Stream != id || log[1].Version != 2 || log[0].Type != typ {
			t.Fatalf("%+v became %+v", a, log)
		}
		var meta eventstore.Meta
		if err := json.Unmarshal(log[0].Meta, &meta); err != nil || meta != a.Meta {
			t.Errorf("the meta %+v is read as %s, %v", a.Meta, log[0].Meta, err)
		}
		if !reflect.DeepEqual(valueOf(t, log[1].Data), valueOf(t, data)) {
			t.Errorf("%q is read as %q", data, log[1].Data)
		}
		if a.Key != nil {
			again, found, err := store.LookupKey(t.Context(), *a.Key)
			if err != nil || !found || again.LastSeq != log[1].Seq || !reflect.DeepEqual(valueOf(t, again.Answer), valueOf(t, data)) {
				t.Errorf("the key %+v has %+v, %v, %v", a.Key, again, found, err)
			}
		}
	})
}

// Whatever an event is, its canonical bytes are one line, and whoever reads them as JSON has the event again: an export
// can be checked without this program.
func FuzzALineOfAnExportReadsBackAsTheEvent(f *testing.F) {
	for _, data := range payloads {
		f.Add(int64(17), int64(3), "order", "order.placed", int64(1_763_922_600_000_120), []byte(data), []byte(`{"userId": "ann"}`))
		f.Add(int64(1), int64(1), "a/\"b\\\n", "é\u2028\x7f", int64(-1), []byte(`{}`), []byte(data))
	}
	f.Fuzz(func(t *testing.T, seq, version int64, stream, typ string, at int64, data, meta []byte) {
		e := eventstore.Recorded{
			Seq: seq, ID: uuid.New(), Stream: eventstore.StreamID{Type: stream, ID: uuid.New()}, Version: version, Type: typ,
			Data: data, Meta: meta, RecordedAt: time.UnixMicro(at).UTC(),
		}
		if year := e.RecordedAt.Year(); !json.Valid(data) || !json.Valid(meta) || !utf8.ValidString(stream+typ) || year < 0 || year > 9999 {
			return // nothing that is in the log
		}
		line := e.AppendCanonical(nil)
		var read struct {
			Seq, Version int64
			ID           uuid.UUID
			Stream, Type string
			At           time.Time
			Data, Meta   json.RawMessage
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&read); err != nil || d.More() || bytes.ContainsAny(line, "\n\r") {
			t.Fatalf("%q: %v", line, err)
		}
		if read.Seq != seq || read.Version != version || read.ID != e.ID || read.Stream != e.Stream.String() || read.Type != typ || !read.At.Equal(e.RecordedAt) {
			t.Fatalf("%q is read as %+v", line, read)
		}
		for _, pair := range [][2][]byte{{read.Data, data}, {read.Meta, meta}} {
			var compact bytes.Buffer
			if err := json.Compact(&compact, pair[1]); err != nil || !bytes.Equal(compact.Bytes(), pair[0]) {
				t.Fatalf("%q is written as %q", pair[1], pair[0])
			}
		}
	})
}
