package socketio

import "testing"

func TestAnOffsetIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]offset{
		"0":    {},
		"17":   {seq: 17},
		"17/1": {seq: 17, first: true},
		"17/2": {seq: 17, marked: true},
		"17/3": {seq: 17, first: true, marked: true},
		"0/2":  {marked: true},
	} {
		if got, ok := parseOffset(s); !ok || got != want || got.String() != s {
			t.Errorf("%q was read as %+v, %v", s, got, ok)
		}
	}
}

func TestWhatIsNoOffsetIsRefused(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "x", "-1", "+1", "1.5", "01", "00", " 1", "1 ", "1/", "/1", "1/0", "1/4", "1/11", "0/1", "0/3", "1/1/1", "pong",
		"9223372036854775807", "99999999999999999999", "١",
	} {
		if o, ok := parseOffset(s); ok {
			t.Errorf("%q was read as %+v", s, o)
		}
	}
}

func TestOffsetsAreOrderedAndSayWhereToGoOn(t *testing.T) {
	t.Parallel()
	order := []offset{{seq: 16, first: true}, {seq: 16}, {seq: 17, first: true}, {seq: 17}, {seq: 18, first: true}}
	for i, a := range order {
		for j, b := range order {
			if a.after(b) != (i > j) {
				t.Errorf("%s is after %s: %v", a, b, a.after(b))
			}
		}
	}
	if cursor, skip := order[2].resume(); cursor != 16 || skip != 17 {
		t.Errorf("17/1 goes on after %d without the first of %d", cursor, skip)
	}
	if cursor, skip := order[3].resume(); cursor != 17 || skip != 0 {
		t.Errorf("17 goes on after %d without the first of %d", cursor, skip)
	}
}

func FuzzOffset(f *testing.F) {
	f.Add("17")
	f.Add("17/3")
	f.Fuzz(func(t *testing.T, s string) {
		o, ok := parseOffset(s)
		if ok && o.String() != s {
			t.Errorf("%q was read as %+v, which is %q", s, o, o)
		}
	})
}
