package pgtest_test

import (
	"testing"

	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestX(t *testing.T) {
	t.Log(pgtest.Database(t))
	t.Log(pgtest.Empty(t))
}
