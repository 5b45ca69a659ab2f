package rest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/projections"
)

func sameJSON(t *testing.T, a, b any) bool {
	t.Helper()
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return reflect.TypeOf(a) == reflect.TypeOf(b) && string(x) == string(y)
}

// reads are the paths of all reads that carry X-Seq.
func reads() []string {
	order := "/orders/" + orderID.String()
	return append(audits(), []string{
		"/business", "/products", "/products/" + productID.String(), "/orders", order, "/feed", order + "/payments", "/payments/" + cashID.String(),
		"/delivery/agents", "/delivery/agents/ravi", "/delivery" + order + "/track", "/offers", "/offers/HALF", "/notifications",
	}...)
}

func TestReadsSayWhatTheyAreTrueFor(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	for _, path := range reads() {
		if got := ask(t, h, "GET", prefix+path, "admin"); got.status != 200 || got.header.Get("X-Seq") != "42" {
			t.Errorf("%s: %d, X-Seq %q", path, got.status, got.header.Get("X-Seq"))
		}
	}
}

func TestMinSeq(t *testing.T) {
	t.Parallel()
	for _, path := range reads() {
		for name, tc := range map[string]struct {
			query  string
			header []string
			behind bool
		}{
			"reached":           {"?min_seq=42", nil, false},
			"not reached":       {"?min_seq=43", nil, true},
			"header":            {"", []string{"X-Min-Seq: 43"}, true},
			"the greater of":    {"?min_seq=1", []string{"X-Min-Seq: 43"}, true},
			"both, either way":  {"?min_seq=43", []string{"X-Min-Seq: 1"}, true},
			"nothing asked for": {"?min_seq=0", nil, false},
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld()
				got := ask(t, w.handler(t), "GET", prefix+path+tc.query, "admin", tc.header...)
				if !tc.behind {
					if got.status != 200 {
						t.Fatalf("got %d: %s", got.status, got.text)
					}
					return
				}
				refused(t, got, 503, "projection_behind")
				if got.header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				if len(w.queries) > 0 {
					t.Error("read before it was as far")
				}
			})
		}
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	w := newWorld()
	got := ask(t, w.handler(t), "GET", prefix+"/products", "")
	if items, _ := got.body["items"].([]any); len(items) != 1 {
		t.Errorf("items: %s", got.text)
	}
	if next, there := got.body["next"]; !there || next != nil {
		t.Errorf("the last page's next must be null: %s", got.text)
	}
	if q := w.queries[0]; q != (projections.ProductQuery{Limit: 50}) {
		t.Errorf("asked for %+v", q)
	}

	w.more = "abc"
	got = ask(t, w.handler(t), "GET", prefix+"/products?limit=200&cursor=xyz&archived=true", "admin")
	if got.body["next"] != "abc" {
		t.Errorf("next: %s", got.text)
	}
	if q := w.queries[1]; q != (projections.ProductQuery{IncludeArchived: true, Limit: 200, After: "xyz"}) {
		t.Errorf("asked for %+v", q)
	}

	got = ask(t, w.handler(t), "GET", prefix+"/orders", "admin")
	if !strings.Contains(got.text, `"items":[]`) {
		t.Errorf("no items must be an empty list: %s", got.text)
	}
}

func TestABusinessThatNothingHappenedToHasItsNameAlready(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t, func(c *Config) { c.BusinessName = "Bistro" })
	if got := ask(t, h, "GET", prefix+"/business", ""); got.body["businessName"] != "Bistro" {
		t.Errorf("got %s", got.text)
	}
}

func TestWhoseOrdersAreListed(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		token, query string
		want         projections.OrderQuery
	}{
		{"admin", "", projections.OrderQuery{Limit: 50}},
		{"admin", "?status=ready&customer=asha&agent=ravi&limit=7&cursor=c", projections.OrderQuery{Status: "ready", Customer: "asha", Agent: "ravi", Limit: 7, After: "c"}},
		{"admin", "?from=2026-03-01T00:00:00Z&to=2026-03-01T06:30:00%2B05:30", projections.OrderQuery{From: from, To: from.Add(time.Hour), Limit: 50}},
		{"admin", "?status=&customer=&agent=&from=&to=", projections.OrderQuery{Limit: 50}},
		{"asha", "", projections.OrderQuery{Customer: "asha", Limit: 50}},
		{"asha", "?customer=asha&status=placed", projections.OrderQuery{Customer: "asha", Status: "placed", Limit: 50}},
		{"ravi", "", projections.OrderQuery{Agent: "ravi", Limit: 50}},
		{"ravi", "?agent=ravi", projections.OrderQuery{Agent: "ravi", Limit: 50}},
	} {
		t.Run(tc.token+tc.query, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			got := ask(t, w.handler(t), "GET", prefix+"/orders"+tc.query, tc.token)
			if got.status != 200 {
				t.Fatalf("got %d: %s", got.status, got.text)
			}
			q, _ := w.queries[0].(projections.OrderQuery)
			q.From, q.To = q.From.UTC(), q.To.UTC()
			if q != tc.want {
				t.Errorf("asked for %+v, want %+v", q, tc.want)
			}
		})
	}
}

func note(seq int64, channels ...string) projections.Notification {
	return projections.Notification{Seq: seq, Event: "order:new", Channels: channels, Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"html":"<b>"}`, seq)), At: someTime}
}

func feedWorld() *world {
	w := newWorld()
	w.feed = []projections.Notification{
		note(3, "all"), note(5, "user:asha"), note(8, "role:customer"), note(9, "user:ben"), note(11, "role:admin"), note(20, "order:x"), note(30, "all", "user:asha"),
	}
	return w
}

// shown are the (prev, seq) pairs of a feed's page.
func shown(r reply) string {
	var pairs []string
	items, _ := r.body["items"].([]any)
	for _, i := range items {
		item, _ := i.(map[string]any)
		pairs = append(pairs, fmt.Sprintf("%v-%v", item["prev"], item["seq"]))
	}
	return strings.Join(pairs, " ")
}

func TestTheFeedIsTheCallersOwnInAChain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		token, query, want string
		seq                string
		next               any
	}{
		{"asha", "", "0-3 3-5 5-8 8-30", "42", nil},
		{"asha", "?lastSeq=0", "0-3 3-5 5-8 8-30", "42", nil},
		{"asha", "?lastSeq=4", "4-5 5-8 8-30", "42", nil},
		{"asha", "?lastSeq=5", "5-8 8-30", "42", nil},
		{"asha", "?limit=2", "0-3 3-5", "5", "5"},
		{"asha", "?lastSeq=5&limit=2", "5-8 8-30", "42", nil},
		{"asha", "?cursor=5&limit=2", "5-8 8-30", "42", nil},
		{"asha", "?lastSeq=3&cursor=5&limit=2", "5-8 8-30", "42", nil}, // lastSeq left in from the page before
		{"ben", "", "0-3 3-8 8-9 9-30", "42", nil},
		{"admin", "", "0-3 3-11 11-30", "42", nil},
		{"ravi", "", "0-3 3-30", "42", nil},
		{"asha", "?lastSeq=42", "", "42", nil},
		{"asha", "?lastSeq=45", "", "45", nil}, // known from a command's answer; the feed is not there yet
	} {
		t.Run(tc.token+tc.query, func(t *testing.T) {
			t.Parallel()
			got := ask(t, feedWorld().handler(t), "GET", prefix+"/feed"+tc.query, tc.token)
			if got.status != 200 || shown(got) != tc.want {
				t.Errorf("got %d %s, want %s", got.status, shown(got), tc.want)
			}
			if got.header.Get("X-Seq") != tc.seq || fmt.Sprint(got.body["seq"]) != tc.seq || got.body["next"] != tc.next {
				t.Errorf("X-Seq %s, want %s, next %v: %s", got.header.Get("X-Seq"), tc.seq, got.body["next"], got.text)
			}
			if got.body["log"] != logID.String() {
				t.Errorf("log %v", got.body["log"])
			}
		})
	}
}

func TestTheFeedsChannelsAreThoseOfEveryConnection(t *testing.T) {
	t.Parallel()
	w := feedWorld()
	ask(t, w.handler(t), "GET", prefix+"/feed", "ravi")
	if want := []string{"all", "role:delivery", "user:ravi"}; !slices.Equal(w.channels, want) {
		t.Errorf("got %v, want %v", w.channels, want)
	}
}

func TestTheFeedsItemsAreTheSocketsFrames(t *testing.T) {
	t.Parallel()
	w := feedWorld()
	got := ask(t, w.handler(t), "GET", prefix+"/feed?lastSeq=3&limit=1", "asha")
	sent, err := delivery.NewFrame(w.feed[1])
	if err != nil {
		t.Fatal(err)
	}
	if want := string(sent.Append(nil, 3)); !strings.Contains(got.text, want) {
		t.Errorf("got %s, want in it %s", got.text, want)
	}
}

func TestCursorsTheFeedCannotGoOnFrom(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		query string
		floor int64
		code  string // empty: fine
	}{
		"at the edge of what is held":      {"?lastSeq=5", 5, ""},
		"beyond it":                        {"?lastSeq=4", 5, "cursor_expired"},
		"0, though some are no longer":     {"?lastSeq=0", 5, ""},
		"at the log's head":                {"?lastSeq=45", 0, ""},
		"ahead of the log":                 {"?lastSeq=46", 0, "cursor_ahead"},
		"of this log":                      {"?lastSeq=5&log=" + logID.String(), 0, ""},
		"of another log":                   {"?lastSeq=5&log=" + unknownID.String(), 0, "cursor_of_another_log"},
		"of another log and ahead of this": {"?lastSeq=99&log=" + unknownID.String(), 0, "cursor_of_another_log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := feedWorld()
			w.bounds.Floor = tc.floor
			got := ask(t, w.handler(t), "GET", prefix+"/feed"+tc.query, "asha")
			if tc.code == "" {
				if got.status != 200 {
					t.Fatalf("got %d: %s", got.status, got.text)
				}
				return
			}
			refused(t, got, 410, tc.code)
			if got.body["seq"] != 42.0 || got.body["log"] != logID.String() {
				t.Errorf("does not say where to go on: %s", got.text)
			}
		})
	}
}

// What was just made may only not be visible yet: whoever does not find it can tell by the seq.
func TestWhatIsNotThereSaysUpToWhichSeq(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t)
	for path, status := range map[string]int{
		"/orders/" + unknownID.String(): 404, "/orders/" + orderID.String(): 403, "/payments/" + unknownID.String(): 404,
		"/products/" + unknownID.String(): 404, "/payments/" + cardID.String(): 403, "/offers/NONE": 404, "/delivery/agents/nobody": 404,
		"/delivery/orders/" + unknownID.String() + "/track": 404, "/orders/" + unknownID.String() + "/payments": 404,
		"/audit/orders/" + unknownID.String(): 404, "/audit/orders/" + unknownID.String() + "/state": 404,
	} {
		user := "admin"
		if status == 403 {
			user = "ben"
		}
		got := ask(t, h, "GET", prefix+path, user)
		if got.status != status || got.header.Get("X-Seq") != "42" {
			t.Errorf("%s is answered %d at %q: %s", path, got.status, got.header.Get("X-Seq"), got.text)
		}
	}
}
