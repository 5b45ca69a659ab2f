package eventstore_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// line appends one event with these data and returns its canonical bytes as they are read back.
func line(t *testing.T, store *eventstore.Store, a eventstore.Append) string {
	t.Helper()
	r, err := store.Append(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	log, err := store.ReadLog(t.Context(), r.LastSeq-1, 1)
	if err != nil || len(log) != 1 {
		t.Fatalf("read %d events back, %v", len(log), err)
	}
	return string(log[0].AppendCanonical(nil))
}

func TestTheCanonicalBytesOfAnEventAreAsDocumented(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	store := open(t, pool, eventstore.Options{})
	streamID, id := uuid.MustParse("0198c0de-0000-7000-8000-00000000ABCD"), uuid.MustParse("0198c0de-1111-7000-8000-000000000001")
	got := line(t, store, eventstore.Append{
		Streams: []eventstore.StreamAppend{{
			Stream: eventstore.StreamID{Type: "order", ID: streamID}, Expected: 0,
			Events: []eventstore.NewEvent{{ID: id, Type: "order.placed", Data: json.RawMessage(` { "orderId" : "x", "n": [ 1 , 2 ], "a": {} } `)}},
		}},
		Meta: eventstore.Meta{UserID: "ann", Role: "customer", Reason: "hungry"},
	})
	var at string
	err := pool.QueryRow(t.Context(), `SELECT to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') FROM events`).Scan(&at)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"seq":1,"id":"0198c0de-1111-7000-8000-000000000001","stream":"order/0198c0de-0000-7000-8000-00000000abcd","version":1,` +
		`"type":"order.placed","at":"` + at + `","data":{"a":{},"n":[1,2],"orderId":"x"},"meta":{"role":"customer","reason":"hungry","userId":"ann"}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDataComeIntoTheCanonicalBytesAsPostgreSQLKeepsThem(t *testing.T) {
	t.Parallel()
	store := open(t, pgtest.Pool(t, pgtest.Database(t)), eventstore.Options{})
	for data, want := range map[string]string{
		// Numbers are exact, whatever a float could hold.
		`[1.10, 1e3, 12345678901234567890, -0.5, 1E-2, 0.1000]`: `[1.10,1000,12345678901234567890,-0.5,0.01,0.1000]`,
		// Shorter names first, then by bytes, in nested objects too; of a repeated name the last counts.
		`{"bb": 1, "a": {"dd": [ ], "c": { } }, "aa": null, "b": true, "b": false}`: `{"a":{"c":{},"dd":[]},"b":false,"aa":null,"bb":1}`,
		// Whitespace inside of strings stays, also behind escaped quotes and backslashes.
		`{"k": "a \" b \\", "l": " : , {\t} "}`:        `{"k":"a \" b \\","l":" : , {\t} "}`,
		`"\u00e9 \ud83c\udf55 \u2028 < > & \/ \u0001"`: "\"é 🍕 \u2028 < > & / \\u0001\"",
		`"piatto caldo 🍝"`:                             `"piatto caldo 🍝"`,
		`"\b\f\n\r\t\u007f"`:                           "\"\\b\\f\\n\\r\\t\x7f\"",
		`{"a b": {"c, d": [1, {"e : f": 2}]}}`:         `{"a b":{"c, d":[1,{"e : f":2}]}}`,
		` null `:                                       `null`,
		`{}`:                                           `{}`,
	} {
		a := one(fresh(), 0)
		a.Streams[0].Events[0].Data = json.RawMessage(data)
		got := line(t, store, a)
		if !strings.HasSuffix(got, `,"data":`+want+`,"meta":{}}`) {
			t.Errorf("%s became %s, want %s", data, got, want)
		}
		var whole struct {
			Data json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal([]byte(got), &whole); err != nil || string(whole.Data) != want {
			t.Errorf("read as JSON the data of %s are %s, %v", got, whole.Data, err)
		}
	}
}

func TestNamesOfTypesAreEscapedInTheCanonicalBytes(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	store := open(t, pool, eventstore.Options{})
	const name = "a \"b\" \\ <c> & é 🍕 \b\f\n\r\t\x01\x1f\x7f \u2028"
	a := one(eventstore.StreamID{Type: name, ID: uuid.New()}, 0)
	a.Streams[0].Events[0].Type = name
	got := line(t, store, a)
	var whole struct{ Stream, Type string }
	if err := json.Unmarshal([]byte(got), &whole); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if streamType, _, _ := strings.Cut(whole.Stream, "/"); whole.Type != name || streamType != name {
		t.Errorf("read back as %q of %q", whole.Type, whole.Stream)
	}
	// PostgreSQL escapes strings in data the same way, so that a line has one way throughout.
	var escaped string
	if err := pool.QueryRow(t.Context(), `SELECT to_jsonb($1::text)::text`, name).Scan(&escaped); err != nil {
		t.Fatal(err)
	}
	if own := string(eventstore.AppendString(nil, name)); own != escaped {
		t.Errorf("escaped as %s, PostgreSQL does %s", own, escaped)
	}
}

func TestTheTimeInTheCanonicalBytesHasMicrosecondsInUTC(t *testing.T) {
	t.Parallel()
	rome := time.FixedZone("Rome", 3600)
	for at, want := range map[time.Time]string{
		time.Date(2026, 11, 23, 19, 30, 0, 0, rome):           "2026-11-23T18:30:00.000000Z",
		time.Date(2026, 11, 23, 18, 30, 0, 1999, time.UTC):    "2026-11-23T18:30:00.000001Z",
		time.Date(1999, 12, 31, 23, 59, 59, 999999999, rome):  "1999-12-31T22:59:59.999999Z",
		time.Date(2026, 1, 2, 3, 4, 5, 120_000_000, time.UTC): "2026-01-02T03:04:05.120000Z",
		time.Date(1969, 12, 31, 23, 59, 59, 1000, time.UTC):   "1969-12-31T23:59:59.000001Z",
		time.Date(2026, 1, 2, 3, 4, 5, 123_456_000, time.UTC): "2026-01-02T03:04:05.123456Z",
	} {
		got := string(eventstore.Recorded{RecordedAt: at, Data: json.RawMessage("1"), Meta: json.RawMessage("2")}.AppendCanonical(nil))
		if !strings.Contains(got, `,"at":"`+want+`","data":1,"meta":2}`) {
			t.Errorf("%s became %s, want %s", at, got, want)
		}
	}
}

func TestCanonicalBytesAreAppended(t *testing.T) {
	t.Parallel()
	e := eventstore.Recorded{Seq: 7, Data: json.RawMessage(`{ }`), Meta: json.RawMessage(`[ ]`)}
	alone := e.AppendCanonical(nil)
	if got := e.AppendCanonical([]byte("before ")); !bytes.Equal(got, append([]byte("before "), alone...)) {
		t.Errorf("got %s", got)
	}
}

func FuzzWhitespaceIsRemovedAsEncodingJSONDoesIt(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "a" : [ 1 , 2.50 , -1e3 ] , "b\" c" : "\\" } `, `"\\\" \u00e9 "`, "[\t1,\r\n2]", `"é 🍕 \\\\\" x "`, ` null `, `""`,
		`{"a b": "c, d", "e : f": {" ": " "}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var want bytes.Buffer
		if json.Compact(&want, src) != nil {
			return // PostgreSQL gives out nothing that is no JSON
		}
		before := bytes.Clone(src)
		if got := eventstore.AppendCompact([]byte("x"), src); !bytes.Equal(got, append([]byte("x"), want.Bytes()...)) {
			t.Errorf("%q became %q, want %q", src, got, want.Bytes())
		}
		if !bytes.Equal(src, before) {
			t.Error("the source was changed")
		}
	})
}

func FuzzAStringIsEscapedSoThatItReadsTheSame(f *testing.F) {
	for _, seed := range []string{"", "order", `a "b" \ c`, "\x00\x01\b\f\n\r\t\x1f\x7f", "é 🍕 \u2028", "</script>&"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := eventstore.AppendString([]byte("x"), s)
		var back string
		if err := json.Unmarshal(got[1:], &back); err != nil || back != strings.ToValidUTF8(s, "\uFFFD") && len([]rune(back)) != len([]rune(s)) {
			t.Errorf("%q became %q, read as %q, %v", s, got, back, err)
		}
	})
}
