package config

import "time"

const (
	// DefaultDrainDelay is that of a node on a database that was given: balancers look about so often.
	DefaultDrainDelay = time.Second
	// MaxDrainDelay is less than whoever stops a program waits before it kills it.
	MaxDrainDelay = time.Minute
)

func (r *reader) drainDelay() time.Duration {
	v := r.get("DRAIN_DELAY")
	if v == "" {
		if r.get("DATABASE_URL") == "" {
			return 0 // Ctrl-C is to be quick
		}
		return DefaultDrainDelay
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > MaxDrainDelay {
		r.fault("DRAIN_DELAY %q is no duration up to %s: set it to one such as 5s, or to 0s for none", v, MaxDrainDelay)
		return 0
	}
	return d
}
