package rest

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/replay"
)

const asLines = "Accept: " + ndjsonType

func TestAPageOfEventsHasTheirCanonicalBytes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	got := audited(t, w.handler(t), "/events?after=5&to=8")
	if want := `{"items":[` + lineOf(6) + "," + lineOf(7) + "," + lineOf(8) + `],"next":null}` + "\n"; got.status != 200 || got.text != want {
		t.Fatalf("got %d: %s\nwant %s", got.status, got.text, want)
	}
	for _, text := range []string{"<b>&", "\u2028\u2029", "é", `\"x\"`, `\u00e9`, `\\`} {
		if !strings.Contains(got.text, text) {
			t.Errorf("%q is written in another way", text)
		}
	}
	if got.header.Get("X-Seq") != "42" || got.header.Get("Content-Type") != "application/json" || !strings.Contains(strings.Join(got.header.Values("Vary"), ","), "Accept") {
		t.Errorf("got %v", got.header)
	}
	if got := audited(t, w.handler(t), "/events?after=42"); got.text != `{"items":[],"next":null}`+"\n" {
		t.Errorf("no events: %s", got.text)
	}
}

func TestPagesOfEventsFollowEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t)
	var read []any
	path := "/events?limit=20"
	for pages := 0; path != ""; pages++ {
		if pages > 3 {
			t.Fatal("there is no last page")
		}
		got := audited(t, h, path)
		items, _ := got.body["items"].([]any)
		for _, i := range items {
			item, _ := i.(map[string]any)
			read = append(read, item["seq"])
		}
		path = ""
		if next, ok := got.body["next"].(string); ok {
			path = "/events?limit=20&after=1&cursor=" + next // after left in from the first page
		}
	}
	if fmt.Sprint(read) != fmt.Sprint(upTo(1, 42)) {
		t.Errorf("read %v", read)
	}
}

func TestWhatEventsAreSearchedBy(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for path, want := range map[string]replay.Query{
		"":                        {Limit: 50},
		"?limit=200&after=3&to=9": {After: 3, To: 9, Limit: 200},
		"?cursor=7&after=3":       {After: 7, Limit: 50},
		"?type=order.placed":      {Types: []string{"order.placed"}, Limit: 50},
		"?type=a,b&type=c":        {Types: []string{"a", "b", "c"}, Limit: 50},
		"?stream=order/" + orderID.String() + "&actor=auth0%7Cboss":                 {Stream: "order/" + orderID.String(), Actor: "auth0|boss", Limit: 50},
		"?since=2026-03-01T05:30:00%2B05:30&until=2026-03-01T00:00:00.000001Z":      {Since: since, Until: since.Add(time.Microsecond), Limit: 50},
		"?since=2026-03-01T00:00:00Z&until=2026-03-01T00:00:00Z&min_seq=42&limit=1": {Since: since, Until: since, Limit: 1},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			if got := audited(t, w.handler(t), "/events"+path); got.status != 200 {
				t.Fatalf("got %d: %s", got.status, got.text)
			}
			if !reflect.DeepEqual(w.queries, []any{want}) {
				t.Errorf("asked for %+v, want %+v", w.queries, want)
			}
			w.queries = nil
			if got := audited(t, w.handler(t), "/events"+path, asLines); got.status != 200 {
				t.Fatalf("got %d: %s", got.status, got.text)
			}
			want.Limit = 1 // it only looks whether there is anything, and where the end is
			if !reflect.DeepEqual(w.queries[0], any(want)) {
				t.Errorf("an export asked for %+v, want %+v", w.queries, want)
			}
		})
	}
}

func TestAnExportHasALineAnEvent(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]int64{
		"":                           upTo(1, 42),
		"?after=40":                  {41, 42},
		"?after=3&cursor=40":         {41, 42},
		"?after=42":                  nil,
		"?after=50":                  nil,
		"?to=3":                      upTo(1, 3),
		"?after=3&to=3":              nil,
		"?to=1000":                   upTo(1, 42), // and not what comes later
		"?limit=2":                   {1, 2},
		"?limit=100000&after=41":     {42},
		"?type=order.placed":         {3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42},
		"?type=order.placed&limit=2": {3, 6},
		"?type=order.placed&to=10":   {3, 6, 9},
		"?type=order.shipped":        nil,
		"?stream=" + orderID.String() + "&after=30&limit=3":                    {33, 36, 39},
		"?since=2026-03-01T12:00:05.123456Z&until=2026-03-01T12:00:07.123456Z": {5, 6},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			got := audited(t, w.handler(t), "/events"+path, asLines)
			if got.status != 200 || got.text != linesOf(want...) {
				t.Fatalf("got %d:\n%s\nwant the lines of %v", got.status, got.text, want)
			}
			if got.header.Get("X-Seq") != "42" || got.header.Get("Content-Type") != ndjsonType || !strings.Contains(strings.Join(got.header.Values("Vary"), ","), "Accept") {
				t.Errorf("got %v", got.header)
			}
		})
	}
	if got := audited(t, newWorld().handler(t), "/events", "Accept: application/ndjson"); got.header.Get("Content-Type") != "application/ndjson" {
		t.Errorf("got %v", got.header)
	}
	w := newWorld()
	w.reached = 0
	if got := audited(t, w.handler(t), "/events", asLines); got.status != 200 || got.text != "" || got.header.Get("X-Seq") != "0" || len(w.walks) > 0 {
		t.Errorf("of an empty log: %d %v %s after %v", got.status, got.header, got.text, w.walks)
	}
}

// A connection to the database is not held for as long as the client takes.
func TestTheWholeLogIsReadInSteps(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.reached = 2*walkStep + 500
	got := audited(t, w.handler(t), "/events?after=100", asLines)
	if got.text != linesOf(upTo(101, w.reached)...) {
		t.Fatalf("got %d bytes", len(got.text))
	}
	want := []replay.Query{
		{After: 100, To: 100 + walkStep},
		{After: 100 + walkStep, To: 100 + 2*walkStep},
		{After: 100 + 2*walkStep, To: w.reached},
	}
	if !reflect.DeepEqual(w.walks, want) {
		t.Errorf("walked over %+v", w.walks)
	}
	w.walks = nil
	if got := audited(t, w.handler(t), "/events?after=100&limit=2001", asLines); got.text != linesOf(upTo(101, 2101)...) {
		t.Fatalf("got %d bytes", len(got.text))
	}
	if last := w.walks[len(w.walks)-1]; len(w.walks) != 2 || last.To != 2101 {
		t.Errorf("walked over %+v", w.walks)
	}
	// A time is between two seqs.
	w.walks = nil
	audited(t, w.handler(t), "/events?since=2026-03-01T12:00:05.123456Z&until=2026-03-01T12:00:07.123456Z", asLines)
	if want := []replay.Query{{After: 4, To: 6}}; !reflect.DeepEqual(w.walks, want) {
		t.Errorf("walked over %+v", w.walks)
	}
	// With filters it is up to the search.
	w.walks = nil
	audited(t, w.handler(t), "/events?type=order.placed", asLines)
	if want := []replay.Query{{Types: []string{"order.placed"}, To: w.reached}}; !reflect.DeepEqual(w.walks, want) {
		t.Errorf("walked over %+v", w.walks)
	}
}

func TestWhoAsksForTheHeadersWalksOverNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for _, accept := range []string{asLines, "Accept: application/json"} {
		got := ask(t, w.handler(t), "HEAD", prefix+"/audit/events", "admin", accept)
		if got.status != 200 || got.header.Get("X-Seq") != "42" || "Accept: "+got.header.Get("Content-Type") != accept {
			t.Errorf("got %d %v", got.status, got.header)
		}
	}
	if len(w.walks) > 0 {
		t.Errorf("walked over %v", w.walks)
	}
	refused(t, ask(t, w.handler(t), "GET", prefix+"/audit/events?limit=0", "admin", asLines), 400, "invalid_request")
}

// An export is asked for like anything else.
func TestWhoMayExport(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t, limited(2, -1))
	refused(t, ask(t, h, "GET", prefix+"/audit/events", "", asLines), 401, "unauthenticated")
	refused(t, ask(t, h, "GET", prefix+"/audit/events", "expired", asLines), 401, "token_expired")
	refused(t, ask(t, h, "GET", prefix+"/audit/events", "asha", asLines), 403, "forbidden")
	refused(t, audited(t, h, "/events?min_seq=43", asLines), 503, "projection_behind")
	if got := audited(t, h, "/events", asLines); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	refused(t, audited(t, h, "/events", asLines), 429, "rate_limited")
	if len(w.walks) != 1 {
		t.Errorf("walked over %v", w.walks)
	}
}
