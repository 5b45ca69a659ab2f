package crowd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/faults/history"
)

// feedPage is a page up to a seq. next is empty when it is the last one.
func feedPage(seq int64, next string, items ...string) string {
	if next = `"` + next + `"`; next == `""` {
		next = "null"
	}
	return fmt.Sprintf(`{"items":[%s],"next":%s,"seq":%d,"log":"L"}`, strings.Join(items, ","), next, seq)
}

func TestWhatIsReadInPagesIsNoted(t *testing.T) {
	t.Parallel()
	s := &script{messages: []string{
		feedPage(9, "9", eventFrame(4, 7), eventFrame(7, 9)), // and at once the next one
		feedPage(15, "", eventFrame(9, 12)),
		feedPage(15, ""),
	}}
	d := listener(t, history.Feed, domain.RoleCustomer, s)
	d.begun, d.cursor = true, 4
	wantNoted(t, listen(t, d), "opened:4 registered:9! order:status:update:4<7 order:status:update:7<9 order:status:update:9<12 "+
		"checkpoint:15 checkpoint:15 closed:503:overloaded")
	for i, want := range []string{"lastSeq=4&", "lastSeq=9&", "lastSeq=15&", "lastSeq=15&"} {
		if !strings.Contains(s.queries[i], want) || strings.Contains(s.queries[i], "log=L") != (i > 0) {
			t.Errorf("request %d was %q", i, s.queries[i])
		}
	}
	if at := d.reached(); at != 15 {
		t.Errorf("it is at %d", at)
	}
}

func TestWhatNoServerMayAnswerToWhoReadsPages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ says, fault string }{
		"no object":                        {"pages", "has not what it must have"},
		"no items":                         {`{"seq":5,"log":"L"}`, "has not what it must have"},
		"no log":                           {`{"seq":5,"items":[]}`, "has not what it must have"},
		"an item behind its end":           {feedPage(6, "", eventFrame(4, 7)), "has what it must not have"},
		"an item without prev":             {feedPage(9, "", `{"seq":7,"event":"order:new","data":{},"at":"2026-03-01T12:00:00Z"}`), "has what it must not have"},
		"a next page, and nothing in this": {feedPage(4, "4"), "is followed by"},
		"a next page behind something":     {feedPage(9, "9", eventFrame(4, 7)), "is followed by"},
		"an end before what it knows":      {feedPage(3, ""), "comes behind"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := listener(t, history.Feed, domain.RoleCustomer, &script{messages: []string{c.says}})
			d.begun, d.cursor = true, 4
			if got := listen(t, d); !strings.Contains(got, "FAULTY(") || !strings.Contains(got, c.fault) {
				t.Errorf("noted %s", got)
			}
		})
	}
}

// REST says why by a code, whatever is wrong.
func TestAPageIsNotRefusedWithoutACode(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 404, 410, 429, 500, 503} {
		d := listener(t, history.Feed, domain.RoleCustomer, &script{status: status})
		if got := listen(t, d); !strings.Contains(got, fmt.Sprintf("FAULTY(a page is answered %d", status)) {
			t.Errorf("noted %s", got)
		}
	}
}
