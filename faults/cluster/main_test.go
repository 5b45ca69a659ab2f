package cluster

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, toxic) }

// toxic: a connection that ends just as something is added to its way leaves one of toxiproxy's own goroutines behind, which
// waits to pass on what nobody takes any more.
var toxic = goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run")
