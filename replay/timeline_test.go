package replay_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"github.com/orderlog/orderlog/replay"
)

var update = flag.Bool("update", false, "write the golden files anew")

// shown is a history with all that a timeline has to show.
func shown() []replay.Entry {
	start := time.Date(2026, 11, 23, 23, 58, 30, 123_456_000, time.UTC)
	carl, ada, raj := replay.Actor{UserID: "carl", Role: "customer"}, replay.Actor{UserID: "ada", Role: "admin"}, replay.Actor{UserID: "raj", Role: "delivery"}
	var h []replay.Entry
	add := func(seq int64, after time.Duration, by replay.Actor, typ, summary, reason string) *replay.Entry {
		h = append(h, replay.Entry{Seq: seq, At: start.Add(after), Actor: by, Type: typ, Summary: summary, Reason: reason})
		return &h[len(h)-1]
	}
	placed := add(8, 0, carl, "order.placed", "Placed: 2 × Margherita, 1 × Acqua Minerale Naturale from a village with a very long name for 17.10 EUR, 1.90 EUR off with offer WELCOME10", "")
	placed.CorrelationID, placed.IdempotencyKey, placed.RemoteAddr = "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55", "my-first-order", "192.0.2.7"
	told := add(9, 2*time.Millisecond, replay.Actor{UserID: "orderlog", Role: "system"}, "inbox.entered", "Told carl: Order received", "")
	told.CorrelationID, told.CausationID = placed.CorrelationID, "0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c56"
	changed := add(12, 20*time.Second, ada, "order.status_changed", "Status from placed to confirmed", "on the fire")
	changed.Changes = []replay.Change{
		{Path: "/status", From: json.RawMessage(`"placed"`), To: json.RawMessage(`"confirmed"`)},
		{Path: "/payments/0", To: json.RawMessage(`{"amount":1710,"captured":0,"checkoutUrl":"https://pay.example/0190a5e4","currency":"EUR"}`)},
		{Path: "/payments/1", From: json.RawMessage(`{}`)},
	}
	add(13, 30*time.Second, ada, "courier.order_released", "Courier raj let go of the order: reassigned", "reassigned")
	for i := range 4 {
		add(int64(14+i), time.Minute+time.Duration(i)*time.Second, raj, "courier.located", "Courier raj at 52.37400, 4.8897"+string(rune('0'+i)), "")
	}
	sam := replay.Actor{UserID: "sam", Role: "delivery"}
	add(18, 64*time.Second, sam, "courier.located", "Courier sam at 52.37500, 4.88970", "")
	add(19, 65*time.Second, replay.Actor{UserID: "a very long name of an admin", Role: "admin"}, "order.assigned", "Reassigned from raj to sam", "")
	add(20, 66*time.Second, raj, "courier.located", "Courier raj at 52.37400, 4.88979", "")
	for i := range 2 { // on two days
		add(int64(21+i), 89*time.Second+time.Duration(i)*time.Second, raj, "courier.located", "Courier raj at 52.37400, 4.88980", "")
	}
	gilded := add(1024, 2*time.Minute, replay.Actor{}, "order.gilded", "order.gilded", "\x1b[2Jbirthday\nof 麻婆豆腐麻婆豆腐麻婆豆腐麻婆豆腐麻婆豆腐麻婆豆腐麻婆豆腐")
	gilded.Unknown = true
	add(1025, 3*time.Minute, replay.Actor{UserID: "小明\u202e"}, "order.cancelled", "Cancelled when ready", "nobody at home")
	return h
}

func TestATimelineIsReadable(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]replay.TimelineOptions{
		"timeline": {}, "timeline-all": {All: true}, "timeline-narrow": {Width: 1}, "timeline-wide": {Width: 200},
	} {
		var got bytes.Buffer
		if err := replay.WriteTimeline(&got, shown(), opts); err != nil {
			t.Fatal(err)
		}
		width := map[int]int{0: 100, 1: 60, 200: 200}[opts.Width]
		for line := range strings.Lines(got.String()) {
			line = strings.TrimSuffix(line, "\n")
			if uniseg.StringWidth(line) > width || strings.TrimRight(line, " ") != line || strings.ContainsAny(line, "\x1b\t\r\u202e") {
				t.Errorf("%s: line %q", name, line)
			}
		}
		file := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s is\n%s\nwant\n%s", name, got.String(), want)
		}
	}
}

func TestATimelineTellsTheProgramFromItsPartners(t *testing.T) {
	t.Parallel()
	e := newEvening(t, func(*evening) {})
	var got bytes.Buffer
	if err := replay.WriteTimeline(&got, e.history(t, replay.HistoryQuery{OrderID: e.order}).Entries, replay.TimelineOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  system                     Told carl: Order received\n", "  payment-provider (system)  17.10 EUR paid by card\n",
		"  ada (admin)                Cancelled when out for delivery\n", "why: nobody at home\n",
	} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("no %q in\n%s", want, got.String())
		}
	}
}

func TestATimelineOfNothingIsEmpty(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	if err := replay.WriteTimeline(&got, nil, replay.TimelineOptions{}); err != nil || got.Len() > 0 {
		t.Errorf("%q, %v", got.String(), err)
	}
}
