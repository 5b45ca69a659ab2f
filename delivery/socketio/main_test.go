package socketio

import (
	"testing"

	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
