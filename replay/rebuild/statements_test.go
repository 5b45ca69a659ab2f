package rebuild_test

import (
	"testing"

	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/replay/rebuild"
)

func TestEachStatementIsValid(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for name, query := range rebuild.Statements() {
		if _, err := conn.Conn().Prepare(t.Context(), name, query); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
