// Package crowd is the people of a run of the fault suite: users who ask for things, and devices that listen.
//
// Nothing here judges what is true. The crowd writes down what it asked for, what it was answered and what it was told,
// as a strict client sees it; what no server may say at all is an entry of kind Faulty.
//
// What is noted of a device, connection by connection, from Opened to Closed:
//   - Its cursor is what Opened says or, where that is -1, what Registered says. It never goes back, and the next
//     connection begins with it: with the highest seq of the events, checkpoints, caught_up and resync so far.
//   - A room counts from the seq of its Joined on, and until Left, or Closed. Joined behind Registered is of a room
//     that was asked for with the registration, or that the server put the device back into. With Flag the device does
//     not know since when: it had asked, and the answer was lost.
//   - A device that leaves a room notes Left with Flag twice: when it asks and when that is answered. Between them, and
//     between asking for a room and Joined, the room's events may come or not.
//   - Events with Flag are those in the answer to a join, noted behind the Joined. Its Seq is where the answer ends.
//   - Over Socket.IO a connection that is lost before it has said what it is was not listened to: its cursor stays.
package crowd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderlog/orderlog/faults/history"
	"github.com/orderlog/orderlog/internal/auth"
)

// Config of a Crowd. All but Clients, Rate, Patience and Seed are required.
type Config struct {
	// URLs of the nodes, such as http://127.0.0.1:5001.
	URLs []string
	// Clients is how many devices there are. Default 200.
	Clients int
	// Rate is how many commands are tried a second. Default 60.
	Rate float64
	// Patience is for how long a command of unknown outcome is asked again. Default 60 s.
	Patience time.Duration
	// Seed decides what users try, and what devices do.
	Seed uint64
	// Sign makes the token of a user.
	Sign func(auth.Identity) (string, error)
	// WebhookSecret is the key of the payment provider's messages.
	WebhookSecret []byte
	History       *history.History
}

// Crowd is the people of one run. Begin, StopCommands, LastWord, Await and Close are to be called in that order.
type Crowd struct {
	cfg     Config
	api     *api
	world   *world
	devices []*device
	// devicesOf are those of a user.
	devicesOf map[*user][]*device

	cancel    context.CancelFunc
	listening sync.WaitGroup

	stopTrying context.CancelFunc
	giveUp     context.CancelFunc // ends also what is under way
	trying     sync.WaitGroup

	closed  sync.Once
	skipped atomic.Int64
}

// openAtMost is how long opening the shop may take, with nothing broken.
const openAtMost = 2 * time.Minute

// Streams of random numbers.
const (
	ofPlan = iota + 1
	ofPeople
	ofArrivals
	ofDevices = 1 << 20
)

func (c *Crowd) random(stream uint64) *rand.Rand { return random(c.cfg.Seed, stream) }

func random(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// New makes a crowd that does nothing yet.
func New(cfg Config) *Crowd {
	if cfg.Clients <= 0 {
		cfg.Clients = 200
	}
	if cfg.Rate <= 0 {
		cfg.Rate = 60
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 60 * time.Second
	}
	c := &Crowd{cfg: cfg}
	c.api = newAPI(cfg)
	c.world = newWorld(cfg.Clients, c.random(ofPeople))
	c.devices, c.devicesOf = c.equip(), map[*user][]*device{}
	for _, d := range c.devices {
		c.devicesOf[d.user] = append(c.devicesOf[d.user], d)
	}
	return c
}

// Begin opens the shop, which it tries for some minutes, connects the devices and lets the users begin. It returns when all
// of that is under way; the crowd ends with ctx or Close.
func (c *Crowd) Begin(ctx context.Context) error {
	ctx, c.cancel = context.WithCancel(ctx)
	opening, opened := context.WithTimeout(ctx, openAtMost)
	defer opened()
	if err := c.openShop(opening); err != nil {
		c.cancel()
		return fmt.Errorf("open the shop: %w", err)
	}
	for _, d := range c.devices {
		c.listening.Go(func() { d.run(ctx) })
	}
	trying, stop := context.WithCancel(ctx)
	c.stopTrying = stop
	asking, giveUp := context.WithCancel(ctx)
	c.giveUp = giveUp
	c.trying.Go(func() { c.try(trying, asking) })
	return nil
}

// StopCommands lets nothing new be tried, and waits for what is under way. Each command takes Config.Patience at most, but
// who has closed the shop asks until it is open again. What is not over when ctx ends is given up, which is an error.
func (c *Crowd) StopCommands(ctx context.Context) error {
	c.stopTrying()
	defer c.giveUp()
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.trying.Wait()
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		c.giveUp()
		<-over
		return fmt.Errorf("commands were still under way: %w", ctx.Err())
	}
}

// LastWord closes the business and returns the seq of that event, which every device is told of.
func (c *Crowd) LastWord(ctx context.Context) (seq int64, err error) {
	for {
		done := c.insist(ctx, c.world.admins[0], setBusiness(false, "That is all for tonight"))
		if ok := done.Acknowledged(); ok != nil {
			return ok.Seq, nil
		}
		if !pause(ctx, 200*time.Millisecond) {
			return 0, fmt.Errorf("the business could not be closed: %w", ctx.Err())
		}
	}
}

// Await waits until every device was told of everything up to seq. It names those that were not when ctx ends.
func (c *Crowd) Await(ctx context.Context, seq int64) error {
	for {
		var late []error
		for _, d := range c.devices {
			if at := d.reached(); at < seq {
				late = append(late, fmt.Errorf("%s is at %d and not at %d", d.log.Name, at, seq))
			}
		}
		if len(late) == 0 {
			return nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return errors.Join(late...)
		}
	}
}

// Close ends the devices, waits for them, and adds what they noted to the history.
func (c *Crowd) Close() {
	if c.cancel == nil {
		return
	}
	c.cancel()
	c.trying.Wait()
	c.listening.Wait()
	c.closed.Do(func() {
		for _, d := range c.devices {
			c.cfg.History.AddClient(&d.log)
		}
	})
	c.api.client.CloseIdleConnections()
}

// Skipped is how many commands were not tried because too many were under way.
func (c *Crowd) Skipped() int64 { return c.skipped.Load() }

// pause waits, and says whether ctx has not ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// newClient is an HTTP client of its own for many connections to few hosts.
func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second, ResponseHeaderTimeout: silence,
		DisableCompression: true, WriteBufferSize: 2 << 10, ReadBufferSize: 2 << 10,
	}}
}
