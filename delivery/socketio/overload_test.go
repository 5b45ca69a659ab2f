package socketio

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/parttest"
)

// tries counts how often a client with a token tries to come in.
type tries struct {
	deliverytest.Verifier
	count atomic.Int64
}

func (v *tries) Verify(ctx context.Context, token string) (auth.Identity, error) {
	v.count.Add(1)
	return v.Verifier.Verify(ctx, token)
}

// triesAgain waits until a client that was dialed has been kept out, and tries again.
func (v *tries) triesAgain(t *testing.T, c *client, n *node) {
	t.Helper()
	before := v.count.Load()
	c.dial(n)
	parttest.Eventually(t, "a second try", func() bool { return v.count.Load() > before+1 })
}

// wantSentAway holds that a client's connection is closed, and that it was not told a connect_error: it would not come back.
func wantSentAway(t *testing.T, c *client, n *node, code domain.Code) {
	t.Helper()
	c.dial(n)
	if all := c.expectClosed(); len(all) != 0 {
		t.Errorf("it was told %s", all[0].raw)
	}
	if got := n.handler.Stats().Refused; len(got) != 1 || got[code] != 1 {
		t.Errorf("refused: %v", got)
	}
}

// What passes by itself is no reason to leave for good, which socket.io-client does after a connect_error.
func TestAClientThatComesDuringAnOverloadIsLetInWhenItIsOver(t *testing.T) {
	t.Parallel()
	w, verifier := newWorld(), &tries{}
	var timeout time.Duration
	busy := func() (n *node, freed func()) {
		n = w.node(t, options{
			handler: func(c *Config) { c.ConnectTimeout = timeout },
			session: func(c *session.Config) { c.Verifier, c.MaxWork, c.ServeTimeout = verifier, 1, 50*time.Millisecond },
		})
		asked, answer := make(chan struct{}, 1), make(chan struct{})
		w.rights.BeforeAnswering(func() {
			select {
			case asked <- struct{}{}:
			default:
			}
			<-answer
		})
		newClient(t, map[string]any{"token": tokenOf("ann", domain.RoleCustomer)}).connect(n).emit("join:order", deliverytest.Order1)
		parttest.Await(t, "the only place to be taken", asked)
		freed = sync.OnceFunc(func() { w.rights.BeforeAnswering(nil); close(answer) })
		t.Cleanup(freed)
		return n, freed
	}
	c := newClient(t, map[string]any{"token": tokenOf("bob", domain.RoleCustomer), "rooms": []string{"order:" + deliverytest.Order3.String()}})

	n, freed := busy()
	verifier.triesAgain(t, c, n)
	freed()
	if h := c.hear(); h.kind != '0' {
		t.Fatalf("it is answered %s", h.raw)
	}
	c.engine.Cut()
	c.pid = ""

	timeout = 300 * time.Millisecond
	n, _ = busy()
	wantSentAway(t, c, n, domain.CodeOverloaded)
}

func TestAUserHasSoManySockets(t *testing.T) {
	t.Parallel()
	w, verifier := newWorld(), &tries{}
	var timeout time.Duration
	serve := func() *node {
		return w.node(t, options{
			handler: func(c *Config) { c.ConnectTimeout = timeout },
			session: func(c *session.Config) { c.Verifier, c.MaxUserConnections = verifier, 1 },
		})
	}
	asUser := func(user string) *client {
		return newClient(t, map[string]any{"token": tokenOf(user, domain.RoleCustomer)})
	}
	n := serve()
	first, second := asUser("asha").connect(n), asUser("asha")
	asUser("ben").connect(n)
	verifier.triesAgain(t, second, n)
	first.engine.Cut()
	if h := second.hear(); h.kind != '0' {
		t.Errorf("when the first is gone, the second is answered %s", h.raw)
	}

	timeout = 100 * time.Millisecond
	n = serve()
	asUser("asha").connect(n)
	wantSentAway(t, asUser("asha"), n, domain.CodeRateLimited)
}
