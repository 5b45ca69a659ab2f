package config

import (
	"testing"
	"time"
)

// A program that somebody tries out ends at once; one that others share a database with lets balancers notice.
func TestHowLongANodeStaysForBalancers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env  env
		want time.Duration
	}{
		"its own database":              {env{}, 0},
		"its own database, and told to": {env{"DRAIN_DELAY": "2s"}, 2 * time.Second},
		"a database that was given":     {env{"DATABASE_URL": "postgres://db/orders", "JWT_SECRET": someSecret}, time.Second},
		"told not to":                   {env{"DATABASE_URL": "postgres://db/orders", "JWT_SECRET": someSecret, "DRAIN_DELAY": "0s"}, 0},
	} {
		cfg, err := Load(tc.env.get)
		if err != nil || cfg.DrainDelay != tc.want {
			t.Errorf("%s: %s, %v; want %s", name, cfg.DrainDelay, err, tc.want)
		}
	}
}
