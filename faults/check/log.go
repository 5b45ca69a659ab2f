package check

import "time"

// logRule: seq is 1, 2, 3 … without a gap, each stream's versions are, recorded times do not fall, and the head that
// the log says it has is its last event.
type logRule struct {
	f        *findings
	last     int64
	at       time.Time
	versions map[string]int64
	ids      map[string]int64
	head     int64 // as the log says; set before the end
}

func newLogRule(f *findings) *logRule {
	return &logRule{f: f, versions: map[string]int64{}, ids: map[string]int64{}}
}

func (r *logRule) event(e *event, _ *world) {
	r.f.look(ruleLog)
	if e.seq != r.last+1 {
		r.f.add(ruleLog, "seq %d follows on %d", e.seq, r.last)
	}
	r.last = e.seq
	if e.at.Before(r.at) {
		r.f.add(ruleLog, "seq %d was recorded at %s, before seq %d at %s", e.seq, e.at.Format(time.RFC3339Nano), e.seq-1, r.at.Format(time.RFC3339Nano))
	}
	r.at = e.at
	if want := r.versions[e.stream] + 1; e.version != want {
		r.f.add(ruleLog, "seq %d is version %d of %s, where %d was to come", e.seq, e.version, e.stream, want)
	}
	r.versions[e.stream] = e.version
	if first, again := r.ids[e.id]; again {
		r.f.add(ruleLog, "seq %d and seq %d have the same id %s", first, e.seq, e.id)
	}
	r.ids[e.id] = e.seq
}

func (r *logRule) end(*world) {
	if r.head != r.last {
		r.f.add(ruleLog, "the log says that its head is %d, its last event is %d", r.head, r.last)
	}
}
