package commandstest_test

import (
	"testing"

	"github.com/orderlog/orderlog/commands/commandstest"
	"github.com/orderlog/orderlog/eventstore/conformance"
)

// What stands in for the event store keeps its promises.
func TestTheLogInMemoryConforms(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(*testing.T) conformance.Store { return &commandstest.Store{} })
}
