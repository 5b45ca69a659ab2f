package socketio

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

func TestAPidIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	last := int64(12)
	for _, p := range []pid{
		{stale: noOffset},
		{log: uuid.New(), recovery: uuid.New(), start: 17, stale: noOffset, who: whoOf("ann", domain.RoleAdmin), given: givenOf(nil, "")},
		{log: uuid.New(), recovery: uuid.New(), start: maxSeq, stale: offset{seq: maxSeq, marked: true}, who: whoOf("", ""), given: givenOf(&last, "x")},
		{stale: offset{seq: 0}},
	} {
		s := p.String()
		if got, ok := parsePID(s); !ok || got != p {
			t.Errorf("%s was read as %+v, %v; want %+v", s, got, ok, p)
		}
		if strings.ContainsAny(s, "+/=") {
			t.Errorf("%s does not fit into a URL", s)
		}
	}
}

func TestWhatIsNoPidIsRefused(t *testing.T) {
	t.Parallel()
	good := pid{log: uuid.New(), recovery: uuid.New(), start: 1, stale: noOffset}.String()
	negative := pid{start: -1, stale: noOffset}.String()
	staleBelow := pid{stale: offset{seq: -2}}.String()
	markedNone := pid{stale: offset{seq: -1, marked: true}}.String()
	for _, s := range []string{
		"", "x", good[1:], good + "A", "B" + good[1:], strings.Replace(good, good[:1], "=", 1), negative, staleBelow, markedNone,
		good[:len(good)-1] + "\n", "undefined", "null",
	} {
		if p, ok := parsePID(s); ok {
			t.Errorf("%q was read as %+v", s, p)
		}
	}
}

func TestPidsOfOthersDiffer(t *testing.T) {
	t.Parallel()
	seen := map[digest]string{}
	for name, d := range map[string]digest{
		"ann":                whoOf("ann", domain.RoleCustomer),
		"bob":                whoOf("bob", domain.RoleCustomer),
		"ann in another row": whoOf("ann", domain.RoleAdmin),
		"nobody":             whoOf("", ""),
	} {
		if other, ok := seen[d]; ok {
			t.Errorf("%s is taken for %s", name, other)
		}
		seen[d] = name
	}
}

// A client holds the offset of its old stream until it is told one of the new: the two must not be taken for each other,
// whatever they are and however often it happens.
func TestAnOffsetOfAnOlderStreamIsTold(t *testing.T) {
	t.Parallel()
	held := offset{seq: 50}
	for range 4 {
		p := pid{start: 20, stale: noOffset}.holding(held)
		if p.told(held) {
			t.Fatalf("the older stream's %s is taken for one of the new", held)
		}
		for seq := int64(49); seq <= 51; seq++ {
			o, ok := parseOffset(p.at(seq).String())
			if !ok || o.seq != seq || !p.told(o) {
				t.Errorf("after %s this stream's %d, %s, is not known", held, seq, o)
			}
			o.first = true
			if o, ok = parseOffset(o.String()); !ok || !p.told(o) {
				t.Errorf("after %s this stream's %s is not known", held, o)
			}
		}
		held = p.at(50)
	}
	if p := (pid{start: 20}).holding(offset{seq: 20}); p.stale != noOffset {
		t.Errorf("an offset that is not beyond the start says nothing, but %+v", p)
	}
}

func FuzzPID(f *testing.F) {
	f.Add(pid{log: uuid.New(), recovery: uuid.New(), start: 9, stale: offset{seq: 12, marked: true}}.String())
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := parsePID(s)
		if ok && p.String() != s {
			t.Errorf("%q was read as %+v, which is %q", s, p, p)
		}
	})
}
