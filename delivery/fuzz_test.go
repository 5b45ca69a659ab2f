package delivery

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/orderlog/orderlog/projections"
)

// Whatever stands in the notification log, a frame of it is one line with one object, as every reader of JSON reads it:
// a batch has one object a line, and server-sent events end at a line.
func FuzzAFrameIsALineThatSaysWhatTheLogHas(f *testing.F) {
	for _, data := range []string{
		`{"orderId":"a","items":[{"quantity":2}],"totalAmount":1900}`, "{\n\"a\" :\t1 }", `{}`, ``, `null`, `[1]`, `"a"`, `{"seq":1}`, `{"a":"\n"}`, `{"a":"` + "\u2028" + `"}`, `{`, "{\"a\":\"\xff\"}", `{} {}`,
	} {
		f.Add(int64(3), int64(7), "order:new", []byte(data))
		f.Add(int64(-1), int64(1<<62), "a\nb\"", []byte(data))
	}
	f.Fuzz(func(t *testing.T, prev, seq int64, event string, data []byte) {
		frame, err := NewFrame(projections.Notification{Seq: seq, Event: event, Data: data, At: time.Unix(1_700_000_000, 17)})
		if err != nil {
			if json.Valid(data) {
				t.Fatalf("%q is refused: %v", data, err)
			}
			return
		}
		line := frame.Append([]byte("x"), prev)
		if bytes.ContainsAny(line, "\n\r") || line[0] != 'x' {
			t.Fatalf("%q is more than a line", line)
		}
		var told struct {
			Prev, Seq int64
			Event     string
			Data      json.RawMessage
			At        time.Time
		}
		if err := json.Unmarshal(line[1:], &told); err != nil || told.Prev != prev || told.Seq != seq || !told.At.Equal(frame.At) {
			t.Fatalf("%q says %+v: %v", line, told, err)
		}
		if name, _ := json.Marshal(event); !bytes.Contains(line, name) {
			t.Fatalf("%q is called %q", event, told.Event)
		}
		want := data
		if len(data) == 0 {
			want = []byte(`{}`)
		}
		if !reflect.DeepEqual(decoded(t, told.Data), decoded(t, want)) {
			t.Fatalf("%q is told as %q", data, told.Data)
		}
		// Clients without an envelope are told the seq with the data.
		bare := decoded(t, frame.AppendData(nil))
		object, ok := bare.(map[string]any)
		if ok && object["seq"] != json.Number(json.RawMessage(mustMarshal(t, seq))) {
			t.Fatalf("%q is told with the seq %v", data, object["seq"])
		}
		if members, was := decoded(t, want).(map[string]any); was != ok || was && len(object) < len(members) {
			t.Fatalf("%q is told as %v", data, bare)
		}
	})
}

func decoded(t *testing.T, data []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return v
}

func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
