package socketio

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
)

// flood sends a number of pings, as fast as they are taken, and hears until all are answered, in their order. It returns
// how often the client was told that it is slowed down.
func (c *client) flood(count int) (told int) {
	c.Helper()
	ctx, cancel := c.context()
	defer cancel()
	first, sent := c.acks+1, make(chan error, 1)
	c.acks += uint64(count)
	prefix := "2"
	if c.namespace != "" {
		prefix += c.namespace + ","
	}
	go func() {
		var err error
		for id := first; id <= c.acks && err == nil; id++ {
			err = c.engine.Send(ctx, fmt.Sprintf(`%s%d["ping"]`, prefix, id))
		}
		sent <- err
	}()
	for id := first; id <= c.acks; {
		switch h := c.hear(); {
		case h.kind == '3' && h.id != id:
			c.Fatalf("%d is answered, and %d is not", h.id, id)
		case h.kind == '3':
			id++
		case h.name == "error" && h.data.Code == string(domain.CodeRateLimited) && h.data.Message != "" && h.at == "":
			told++
		case h.name == "error":
			c.Fatalf("got %s", h.raw)
		}
	}
	must(c.T, parttest.Await(c.T, "the sending", sent))
	return told
}

func TestTooManyMessagesAreTakenMoreSlowlyAndAllOfThem(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{enginetest.WebSocket, enginetest.Polling} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			const window = time.Second
			w := newWorld()
			n := w.node(t, options{handler: func(cfg *Config) { cfg.MaxMessages, cfg.RateWindow = 20, window }})
			c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)})
			c.options.Transport, c.namespace = transport, "/admin"
			begun := time.Now()
			c.connect(n)
			if told := c.flood(45); told != 1 {
				t.Errorf("it was told %d times that it is slowed down", told)
			}
			if took := time.Since(begun); took < 2*window { // 20 in each, with the CONNECT
				t.Errorf("46 messages were taken in %v", took)
			}

			calm := time.Now().Add(window)
			parttest.Eventually(t, "a whole window", func() bool { return time.Now().After(calm) })
			if told := c.flood(15); told != 0 {
				t.Errorf("it was told %d times that it is slowed down", told)
			}
			if told := c.flood(25); told != 1 {
				t.Errorf("in the second flood it was told %d times that it is slowed down", told)
			}
			w.tell("e", "all")
			c.expect("e")
			if s := n.handler.Stats().Engine; s.Opened != 1 || len(s.Closed) != 0 {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}

func TestAClientThatIsSlowedDownIsToldWhatThereIs(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{enginetest.WebSocket, enginetest.Upgrade} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			n := w.node(t, options{handler: func(cfg *Config) { cfg.MaxMessages, cfg.RateWindow = 3, time.Hour }})
			c := newClient(t, map[string]any{"token": tokenOf("ann", domain.RoleCustomer)})
			c.options.Transport = transport
			c.connect(n)
			for range 10 {
				c.emit("ping")
			}
			c.expect("error")
			w.tell("e", "all")
			c.expect("e")
			done := make(chan error, 1)
			go func() { done <- n.handler.Shutdown(t.Context()) }()
			all := c.expectClosed()
			if len(all) == 0 || all[0].name != "reconnect" || len(all) > 1 {
				t.Errorf("before the end it was told %v", all)
			}
			must(t, parttest.Await(t, "the shutdown", done))
		})
	}
}
