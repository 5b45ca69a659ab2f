package engine_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
)

// call makes a request without a network, so that time can be played.
func (w *world) call(method, sid, body string) answer {
	r := httptest.NewRequest(method, "/?EIO=4&transport=polling&sid="+sid, strings.NewReader(body))
	if method == "GET" {
		r = httptest.NewRequest(method, "/?EIO=4&transport=polling&sid="+sid, nil)
	}
	recorder := httptest.NewRecorder()
	w.server.ServeHTTP(recorder, r)
	return answer{recorder.Code, recorder.Body.String()}
}

// begin opens a session without a network.
func (w *world) begin() *peer {
	w.call("GET", "", "")
	return <-w.peers
}

func TestAPingComesEachIntervalAfterTheLastPong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, nil, nil)
		p := w.begin()
		last := time.Now()
		for _, thought := range []time.Duration{0, time.Second, 19 * time.Second} {
			if got := w.call("GET", p.session.ID(), ""); got != (answer{200, "2"}) {
				t.Fatalf("a poll was answered %v, want a ping", got)
			}
			if waited := time.Since(last); waited != 25*time.Second {
				t.Errorf("the ping came %s after the last pong", waited)
			}
			time.Sleep(thought) //nolint:forbidigo // it is played
			if got := w.call("POST", p.session.ID(), "3"); got.status != 200 {
				t.Fatalf("a pong was answered %v", got)
			}
			last = time.Now()
		}
		w.stop()
	})
}

func TestASessionThatSaysNothingEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, nil, nil)
		p, begun := w.begin(), time.Now()
		if reason := <-p.closed; reason != engine.ReasonPingTimeout || time.Since(begun) != 45*time.Second {
			t.Errorf("it ended because of %q after %s", reason, time.Since(begun))
		}
		if got := w.call("GET", p.session.ID(), ""); got.status != 400 {
			t.Errorf("a poll was answered %v", got)
		}
	})
}

func TestAWaitingPollIsToldThatThePongCameTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, nil, nil)
		p := w.begin()
		w.call("GET", p.session.ID(), "") // the ping
		if got := w.call("GET", p.session.ID(), ""); got != (answer{200, "1"}) {
			t.Errorf("the poll was answered %v, want that the session is closed", got)
		}
		if got := w.call("POST", p.session.ID(), "3"); got.status != 400 {
			t.Errorf("a pong that is too late was answered %v", got)
		}
	})
}

func TestAPongThatNobodyAskedForMovesNoPing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, nil, nil)
		p, begun := w.begin(), time.Now()
		for range 10 {
			time.Sleep(time.Second) //nolint:forbidigo // it is played
			w.call("POST", p.session.ID(), "3")
		}
		if got := w.call("GET", p.session.ID(), ""); got != (answer{200, "2"}) || time.Since(begun) != 25*time.Second {
			t.Errorf("after %s a poll was answered %v", time.Since(begun), got)
		}
		w.stop()
	})
}

// pollOn polls until the session has ended.
func (w *world) pollOn(p *peer) (ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if got := w.call("GET", p.session.ID(), ""); got.status != 200 || got.body == "1" {
				return
			}
		}
	}()
	return done
}

func TestTheTimeOfReceiveIsNotTheClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, nil, func(p *peer) {
			p.receive = func(_ context.Context, m engine.Message) error {
				if string(m.Data) == "work" {
					time.Sleep(50 * time.Second) //nolint:forbidigo // it is played
				}
				return nil
			}
		})
		p, begun := w.begin(), time.Now()
		polls := w.pollOn(p)
		time.Sleep(10 * time.Second) //nolint:forbidigo // it is played
		if got := w.call("POST", p.session.ID(), "4work"); got != (answer{200, "ok"}) {
			t.Fatalf("it was answered %v", got)
		}
		// The ping was due after 25 s; the client is read again after 60 s, and has 20 s from then on.
		time.Sleep(19 * time.Second) //nolint:forbidigo // it is played
		if got := w.call("POST", p.session.ID(), "4more"); got.status != 200 {
			t.Fatalf("after %s it was answered %v", time.Since(begun), got)
		}
		if reason := <-p.closed; reason != engine.ReasonPingTimeout || time.Since(begun) != 80*time.Second {
			t.Errorf("it ended because of %q after %s", reason, time.Since(begun))
		}
		<-polls
	})
}

// stuck is a Receive of a peer that has no room for another answer.
func stuck(ctx context.Context, m engine.Message) error {
	if string(m.Data) == "much" {
		<-ctx.Done()
	}
	return nil
}

func TestASessionThatNobodyPollsEndsWhateverReceiveDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, nil, func(p *peer) { p.receive = stuck })
		p, begun := w.begin(), time.Now()
		time.Sleep(20 * time.Second) //nolint:forbidigo // it is played
		w.call("POST", p.session.ID(), "40")
		p.send("0")
		if got := w.call("GET", p.session.ID(), ""); got != (answer{200, "40"}) {
			t.Fatalf("a poll was answered %v", got)
		}
		if got := w.call("POST", p.session.ID(), "4much\x1e4more"); got.status != 400 {
			t.Errorf("a payload whose session has ended was answered %v", got)
		}
		if reason := <-p.closed; reason != engine.ReasonPingTimeout || time.Since(begun) != 65*time.Second {
			t.Errorf("it ended because of %q after %s", reason, time.Since(begun))
		}
		if got := p.got(); len(got) != 2 {
			t.Errorf("received %q", got)
		}
	})
}

func TestASessionThatWasNeverPolledEndsWhateverReceiveDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, nil, func(p *peer) { p.receive = stuck })
		p, begun := w.begin(), time.Now()
		w.call("POST", p.session.ID(), "4much")
		if reason := <-p.closed; reason != engine.ReasonPingTimeout || time.Since(begun) != 45*time.Second {
			t.Errorf("it ended because of %q after %s", reason, time.Since(begun))
		}
	})
}

func TestAnUpgradedSessionNeedsNoPolls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *engine.Config) { c.PingInterval, c.PingTimeout = time.Millisecond, 2*time.Second }, nil)
	c, p := w.dial(enginetest.Options{Transport: enginetest.Upgrade})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // longer than a client may go without a poll
	defer cancel()
	if _, err := c.Next(ctx); ctx.Err() == nil {
		t.Errorf("the session of %s ended: %v", p.session.ID(), err)
	}
}

func TestReceiveExcusesAClientForABoundedTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, nil, func(p *peer) { p.receive = stuck })
		p, begun := w.begin(), time.Now()
		polls := w.pollOn(p)
		w.call("POST", p.session.ID(), "4much")
		// The ping was due after 25 s and the pong 20 s later, and the excuse is good for 45 s.
		if reason := <-p.closed; reason != engine.ReasonPingTimeout || time.Since(begun) != 90*time.Second {
			t.Errorf("it ended because of %q after %s", reason, time.Since(begun))
		}
		<-polls
	})
}

func TestManyMessagesExcuseAClientForNoLongerThanOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, nil, func(p *peer) {
			p.receive = func(ctx context.Context, _ engine.Message) error {
				ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
				defer cancel()
				<-ctx.Done()
				return nil
			}
		})
		p, begun := w.begin(), time.Now()
		polls := w.pollOn(p)
		w.call("POST", p.session.ID(), strings.Repeat("4work\x1e", 100)+"6")
		if reason := <-p.closed; reason != engine.ReasonPingTimeout || time.Since(begun) != 90*time.Second {
			t.Errorf("it ended because of %q after %s", reason, time.Since(begun))
		}
		<-polls
	})
}

func TestAWebSocketWhoseClientVanishedWhileReceiveWaitsEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *engine.Config) {
		c.PingInterval, c.PingTimeout = 50*time.Millisecond, 50*time.Millisecond
	}, func(p *peer) { p.receive = stuck })
	ws := w.socket("")
	p := w.peer()
	w.say(ws, "4much")
	w.ended(p, engine.ReasonPingTimeout)
}

func TestFillIsAskedAgainWhenItWantsToBe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, func(c *engine.Config) {
			c.Accept = func(*http.Request, *engine.Session) (engine.Peer, error) {
				return &clock{at: time.Now().Add(7 * time.Second)}, nil
			}
		}, nil)
		begun := time.Now()
		var open struct{ SID string }
		if err := json.Unmarshal([]byte(w.call("GET", "", "").body[1:]), &open); err != nil {
			t.Fatal(err)
		}
		if got := w.call("GET", open.SID, ""); got != (answer{200, "4now"}) || time.Since(begun) != 7*time.Second {
			t.Errorf("after %s a poll was answered %v", time.Since(begun), got)
		}
		w.stop()
	})
}

// clock says something at a time.
type clock struct{ at time.Time }

func (*clock) Receive(context.Context, engine.Message) error { return nil }
func (*clock) Close(engine.Reason)                           {}

func (c *clock) Fill(_ context.Context, b *engine.Batch) (time.Time, bool) {
	if time.Now().Before(c.at) {
		return c.at, false
	}
	b.Text([]byte("now"))
	return time.Time{}, false
}

func TestFillWaitsNoLongerThanTheNextPing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, nil, nil)
		p, begun := w.begin(), time.Now()
		calls := 0
		p.fill = func(ctx context.Context) {
			calls++
			if at, ok := ctx.Deadline(); !ok || time.Until(at) > 5*time.Second {
				t.Errorf("Fill may wait until %s", at)
			}
			if !time.Now().Before(begun.Add(25 * time.Second)) {
				return
			}
			<-ctx.Done() // a database that does not answer
			p.wake()
		}
		if got := w.call("GET", p.session.ID(), ""); got != (answer{200, "2"}) || time.Since(begun) != 25*time.Second || calls > 7 {
			t.Errorf("after %s and %d calls a poll was answered %v", time.Since(begun), calls, got)
		}
		w.stop()
	})
}
