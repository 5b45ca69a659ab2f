// Package simulation drives a running server through its public API alone with the evening of a food business, and
// proves that its clients missed nothing.
//
// What it guarantees:
//   - Clients are told from the truth apart: each is compared, event by event, with what GET /feed says was for its
//     user, which is read when the evening is over. Whatever is missing, repeated, out of order, of other content or
//     not for this client is counted.
//   - A part of the connections is cut at random, without a close frame, and resumes by the protocol.
//   - The same seed makes the same users do the same things; when, and in which order, depends on the server too.
//   - It leaves a business as it found it: open or closed, with the menu and the offers that were there. Its own
//     orders, which the log keeps, are all delivered or cancelled.
//   - All that it starts has ended when Run returns.
package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/orderlog/orderlog/internal/auth"
)

// Bounds of a Config.
const (
	MaxOrders  = 100_000
	MaxClients = 20_000
)

// Config says what evening it is, and where.
type Config struct {
	// URL is the server's address, such as http://127.0.0.1:5000. Needed.
	URL string
	// Orders is how many orders are placed, 1 to MaxOrders.
	Orders int
	// Rate is how many orders are placed a second, on average. 0: as fast as the server and the couriers can.
	Rate float64
	// Clients is how many connections customers have, 1 to MaxClients. Some have two.
	Clients int
	// Couriers is how many there are. 0: as many as the customers need.
	Couriers int
	// Drop is the share of all connections that are cut, each several times; 0 to 1.
	Drop float64
	// Seed decides what the users do.
	Seed uint64
	// Sign makes tokens that the server takes. Needed.
	Sign func(auth.Identity) (string, error)
	// WebhookSecret signs what the payment provider says. Needed.
	WebhookSecret []byte
	// Progress is told how far the evening is. Nil: nobody is.
	Progress io.Writer
	// Width is that of the terminal that Progress is. 0: it is none.
	Width int
}

// Reachable says whether a server is there, before anything else is asked for. Its error says what to do.
func Reachable(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", http.NoBody)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	response, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("there is no server at %s: start one with make run, or give --url (%w)", url, errors.Unwrap(err))
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/health answered %s: is it the address of an Orderlog server?", url, response.Status)
	}
	return nil
}

// Run carries out the evening and the comparison. It answers with a report of how far it came also when it fails, and
// with none when it could not begin. When ctx ends, no more is ordered, what is under way is cancelled, and the report is of what was so far.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	e := newEvening(cfg)
	defer e.api.close()
	if err := e.knock(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	err := e.run(ctx)
	r := e.report(time.Since(began))
	r.Interrupted = ctx.Err() != nil
	return r, err
}

func (e *evening) run(ctx context.Context) error {
	// The connections stay until the last event has come, also when the evening ends early.
	crowd, sendHome := context.WithCancel(context.WithoutCancel(ctx))
	joined := e.connect(crowd)
	defer func() {
		sendHome()
		joined()
	}()
	stopProgress := e.tellProgress(crowd)
	defer stopProgress()

	err := e.serve(ctx)
	if errors.Is(err, errGone) || !e.shop.found {
		return err // nobody is there to be asked for the truth, or there is nothing to ask about
	}
	closing := ctx
	if ctx.Err() != nil {
		err = nil // it was asked to end
		var cancel context.CancelFunc
		closing, cancel = context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
	}
	last, closed := e.closeShop(closing)
	sendHome()
	joined()
	stopProgress()
	if closed != nil {
		return errors.Join(err, closed)
	}
	return errors.Join(err, e.check(closing, last))
}

// knock finds out whether the server takes our tokens and our provider's messages.
func (e *evening) knock(ctx context.Context) error {
	if _, err := e.api.get(ctx, e.admins[0].user, "/feed?limit=1", nil); err != nil {
		var said *refusal
		if errors.As(err, &said) && said.status == http.StatusUnauthorized {
			return fmt.Errorf("the server refuses tokens signed with this JWT_SECRET: set it, or DATA_DIR, as the server has it (%w)", err)
		}
		return err
	}
	return e.checkWebhook(ctx)
}

// serve is the evening itself: it opens the shop, and leads all orders to their end.
func (e *evening) serve(ctx context.Context) error {
	if err := e.allOnline(ctx); err != nil {
		return err
	}
	if err := e.openShop(ctx); err != nil {
		return err
	}
	if err := e.beginShifts(ctx); err != nil {
		return err
	}
	return e.takeOrders(ctx)
}

func socketURL(base string) string { return "ws" + strings.TrimPrefix(base, "http") + "/ws" }
