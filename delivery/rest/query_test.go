package rest

import (
	"strings"
	"testing"
)

// An empty filter is a variable of a script that was not set. It must not stand for everything.
func TestAParameterOfTheAuditThatIsEmptyIsRefused(t *testing.T) {
	t.Parallel()
	order := "/orders/" + orderID.String()
	for _, path := range []string{
		"/events?actor=", "/events?actor", "/events?type=", "/events?type=,", "/events?type=order.placed,", "/events?type=order.placed&type=",
		"/events?stream=", "/events?since=", "/events?until=", "/events?after=", "/events?to=", "/events?limit=", "/events?min_seq=",
		order + "?cursor=", order + "?changes=", order + "/state?seq=", order + "/state?at=", "/checkpoint?since=", "/verify?min_seq=",
		"/events/3/proof?min_seq=",
	} {
		saysWhatIsWrong(t, path, "must not be empty: give it a value, or leave it out")
	}
}

// Of several values only the first would count, and the client may mean another.
func TestAParameterOfTheAuditThatIsGivenTwiceIsRefused(t *testing.T) {
	t.Parallel()
	order := "/orders/" + orderID.String()
	for _, path := range []string{
		"/events?actor=a&actor=b", "/events?since=2026-03-01T00:00:00Z&since=2026-03-01T00:00:00Z", "/events?actor=&actor=b",
		order + "?limit=1&limit=2", order + "?changes=true&changes=false", order + "/state?seq=3&seq=4", order + "/state?at=2026-03-01T00:00:00Z&at=2026-03-02T00:00:00Z",
		"/checkpoint?since=1&since=2", "/verify?min_seq=1&min_seq=2", "/events/3/proof?min_seq=1&min_seq=2",
	} {
		saysWhatIsWrong(t, path, "must be given once")
	}
}

// What can't be read is not among the parameters, and a filter among it would not count.
func TestAQueryOfTheAuditThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"?actor=%zz", "?actor=boss;type=order.placed", "?limit=5&actor=100%"} {
		h := newWorld().handler(t)
		got := audited(t, h, "/events"+query)
		refused(t, got, 400, "invalid_request")
		faultAt(t, got, "query")
	}
}

func saysWhatIsWrong(t *testing.T, path, wrong string) {
	t.Helper()
	_, query, _ := strings.Cut(path, "?")
	name, _, _ := strings.Cut(query, "=")
	w := newWorld()
	for _, accept := range []string{"Accept: application/json", asLines} {
		got := audited(t, w.handler(t), path, accept)
		refused(t, got, 400, "invalid_request")
		faultAt(t, got, "query."+name)
		if strings.Count(got.text, `"location"`) != 1 || !strings.Contains(got.text, wrong) {
			t.Errorf("%s: got %s", path, got.text)
		}
	}
	if len(w.queries)+len(w.walks)+len(w.proved) > 0 {
		t.Errorf("%s: went on all the same", path)
	}
}
