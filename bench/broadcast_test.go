package main

import (
	"strings"
	"testing"
)

// A run is only as good as what its clients notice.
func TestClientsNoticeWhatIsNotAsItShouldBe(t *testing.T) {
	t.Parallel()
	pad := strings.Repeat("x", eventPad)
	ours := func(prev, seq string) string {
		return `{"prev":` + prev + `,"seq":` + seq + `,"event":"e","data":{"n":` + seq + `,"pad":"` + pad + `"},"at":"1970-01-01T00:00:01Z"}`
	}
	theirs := func(n string) string {
		return `{"push":{"channel":"all","pub":{"data":{"n":` + n + `,"pad":"` + pad + `"},"offset":` + n + `}}}`
	}
	bare := func(n string) string { return `{"n":` + n + `,"pad":"` + pad + `"}` }
	for name, tc := range map[string]struct {
		speaks   dialect
		messages []string
		fault    string // empty: none
	}{
		"ours":                           {plainDialect, []string{ours("4", "5"), ours("5", "6")}, ""},
		"ours, a batch":                  {batchDialect, []string{ours("4", "5") + "\n" + ours("5", "6")}, ""},
		"ours, a checkpoint":             {plainDialect, []string{`{"event":"checkpoint","data":{"seq":4}}`, ours("4", "5"), ours("5", "6")}, ""},
		"ours, lost":                     {plainDialect, []string{ours("4", "5"), ours("6", "7")}, "something is missing"},
		"ours, lost and prev says not":   {plainDialect, []string{ours("4", "5"), ours("5", "7")}, "event 7 came where 6 should"},
		"ours, twice":                    {batchDialect, []string{ours("4", "5") + "\n" + ours("5", "5")}, "event 5 came where 6 should"},
		"ours, told to read anew":        {plainDialect, []string{`{"event":"resync","data":{"seq":4,"reason":"expired"}}`}, "resync"},
		"ours, cut off":                  {plainDialect, []string{ours("4", "5")[:100]}, "not whole"},
		"centrifuge":                     {centrifugeDialect, []string{theirs("5") + "\n" + theirs("6")}, ""},
		"centrifuge, lost":               {centrifugeDialect, []string{theirs("5"), theirs("7")}, "event 7 came where 6 should"},
		"centrifuge, twice":              {centrifugeDialect, []string{theirs("5"), theirs("5")}, "event 5 came where 6 should"},
		"centrifuge, something else":     {centrifugeDialect, []string{`{"push":{"channel":"all","unsubscribe":{}}}`}, "unsubscribe"},
		"gorilla":                        {gorillaDialect, []string{bare("5"), bare("6")}, ""},
		"gorilla, in the wrong order":    {gorillaDialect, []string{bare("6"), bare("5")}, "event 6 came where 5 should"},
		"gorilla, an event without data": {gorillaDialect, []string{`{"n":5}`}, "not whole"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var read []byte
			for _, m := range tc.messages {
				read = append(append(read, 0x81, 126, byte(len(m)>>8), byte(len(m))), m...)
			}
			c := &client{frames: &frames{buf: read, end: len(read)}, speaks: tc.speaks, prev: 4, last: 4}
			err := c.expect(6)
			switch {
			case tc.fault == "" && err != nil:
				t.Fatal(err)
			case tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)):
				t.Fatalf("got %v, want %q", err, tc.fault)
			}
		})
	}
}
