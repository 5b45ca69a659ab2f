package rebuild

import "time"

// showEvery is how often progress is told at most.
const showEvery = 200 * time.Millisecond

// meter tells of a rebuild's progress.
type meter struct {
	phase        string
	total        int64
	started      time.Time
	from         int64
	shown        time.Time
	measurements bool
}

// enter begins a phase, unless it is under way: catching up goes on with what building began.
func (m *meter) enter(r *run, phase string) {
	*m = meter{phase: phase}
	r.opts.Progress(Progress{Phase: phase, ContinuedFrom: r.result.ContinuedFrom})
}

// show tells how far the phase is.
func (m *meter) show(r *run, done int64) {
	now := time.Now()
	if !m.measurements {
		m.measurements, m.started, m.from = true, now, done
	}
	if done < m.total && now.Sub(m.shown) < showEvery {
		return
	}
	m.shown = now
	p := Progress{Phase: m.phase, Done: done, Total: max(m.total, done), ContinuedFrom: r.result.ContinuedFrom}
	if took := now.Sub(m.started).Seconds(); took > 0 {
		p.Rate = float64(done-m.from) / took
	}
	if p.Rate > 0 {
		p.Left = time.Duration(float64(p.Total-done) / p.Rate * float64(time.Second))
	}
	r.opts.Progress(p)
}
