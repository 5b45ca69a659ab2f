package replay_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/replay"
)

func csvOf(t *testing.T, events ...eventstore.Recorded) string {
	t.Helper()
	var out bytes.Buffer
	c := replay.NewCSV(&out)
	for _, e := range events {
		if err := c.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestACSVFileHasARowAnEvent(t *testing.T) {
	t.Parallel()
	const header = "seq,at,type,stream,version,userId,role,reason,correlationId,causationId,idempotencyKey,remoteAddr,id,data\n"
	id := uuid.MustParse("0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55")
	got := csvOf(t, eventstore.Recorded{
		Seq: 7, ID: id, Stream: eventstore.StreamID{Type: "order", ID: id}, Version: 2, Type: "order.cancelled",
		Data: json.RawMessage(`{"reason": "too late, \"again\""}`), RecordedAt: time.Date(2026, 11, 23, 18, 30, 0, 123456000, time.UTC),
		Meta: json.RawMessage(`{"role": "customer", "userId": "carl", "reason": "late", "causationId": "c", "correlationId": "r", "remoteAddr": "::1", "idempotencyKey": "k"}`),
	})
	want := header + "7,2026-11-23T18:30:00.123456Z,order.cancelled,order/" + id.String() + ",2,carl,customer,late,r,c,k,::1," + id.String() +
		`,"{""reason"": ""too late, \""again\""""}"` + "\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := csvOf(t); got != header {
		t.Errorf("without events: %q", got)
	}
}

func TestNoCellIsAFormulaAndNothingIsLost(t *testing.T) {
	t.Parallel()
	texts := []string{
		"", "plain", "=1+1", "+39 06", "-5", "@SUM(A1)", "\tx", "\rx", "\nx", "'quoted", "''", "'=1", "a=b", "a,b\"c\nd", " =1", "ünï 🍕", `\`,
	}
	var events []eventstore.Recorded
	for i, text := range texts {
		meta, err := json.Marshal(map[string]string{"userId": text, "reason": text, "idempotencyKey": text})
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, eventstore.Recorded{Seq: int64(i) + 1, Type: "odd.event", Data: data, Meta: meta})
	}
	events = append(events, eventstore.Recorded{Seq: 99, Data: json.RawMessage(`-1`), Meta: json.RawMessage(`null`)})
	rows, err := csv.NewReader(strings.NewReader(csvOf(t, events...))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows[1:] {
		for j, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r\n") {
				t.Errorf("%q begins like a formula", cell)
			}
			row[j] = strings.TrimPrefix(cell, "'")
		}
		if row[13] != string(events[i].Data) {
			t.Errorf("data %s is %s", events[i].Data, row[13])
		}
		if i < len(texts) && (row[5] != texts[i] || row[7] != texts[i] || row[10] != texts[i]) {
			t.Errorf("%q is %q, %q, %q", texts[i], row[5], row[7], row[10])
		}
	}
	if len(rows) != len(events)+1 {
		t.Errorf("%d rows", len(rows))
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestAnExportThatCannotBeWrittenSaysSo(t *testing.T) {
	t.Parallel()
	c := replay.NewCSV(brokenPipe{})
	err := c.Write(eventstore.Recorded{Data: json.RawMessage(`"` + strings.Repeat("x", 1<<16) + `"`)})
	if flushErr := c.Flush(); flushErr == nil {
		t.Errorf("write %v, flush %v", err, flushErr)
	}
	if err := replay.WriteTimeline(brokenPipe{}, []replay.Entry{{Summary: "x"}}, replay.TimelineOptions{}); err == nil {
		t.Error("a timeline nobody gets")
	}
}
