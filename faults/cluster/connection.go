package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// connection is one that a proxy passes on.
type connection struct {
	way    *proxy
	client *net.TCPConn
	cancel context.CancelFunc
}

// end closes a connection on both sides, whatever it is doing. What was read before and not written yet is lost.
func (c *connection) end() { c.cancel() }

// filter is what reads along in one direction. It says what is to be passed on of what came, and whether the connection is cut
// then.
type filter func(data []byte) (pass []byte, cut bool)

func everything(data []byte) ([]byte, bool) { return data, false }

// carry passes on what comes in both directions, until both have ended or the connection is.
func (c *connection) carry(ctx context.Context) {
	defer c.way.forget(c)
	defer c.cancel()
	defer c.client.Close()
	untie := context.AfterFunc(ctx, func() { _ = c.client.Close() })
	defer untie()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.way.upstream)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn) //nolint:forcetypeassert // of tcp
	defer server.Close()
	untieServer := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer untieServer()

	up, down := filter(everything), filter(everything)
	if c.way.gate != nil {
		l := &link{gate: c.way.gate}
		up, down = l.toServer, l.toClient
	}
	var directions sync.WaitGroup
	directions.Go(func() { c.pass(ctx, c.client, server, up) })
	directions.Go(func() { c.pass(ctx, server, c.client, down) })
	directions.Wait()
}

// chunk is what came at once.
type chunk struct {
	data []byte
	came time.Time
}

const (
	// chunkAtMost bounds what is read at once, and onTheWay how many of those are carried while they are late.
	chunkAtMost = 32 << 10
	onTheWay    = 1024
)

// pass passes on one direction. Its end is passed on too, anything else that goes wrong ends the connection.
func (c *connection) pass(ctx context.Context, from, to *net.TCPConn, through filter) {
	chunks := make(chan chunk, onTheWay)
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() {
		defer close(chunks)
		if err := read(ctx, from, chunks); err != nil {
			c.end()
		}
	})
	for next := range chunks {
		if err := c.deliver(ctx, next, from, to, through); err != nil {
			c.end()
			return
		}
	}
	if ctx.Err() != nil || to.CloseWrite() != nil {
		c.end()
	}
}

func read(ctx context.Context, from net.Conn, chunks chan<- chunk) error {
	buffer := make([]byte, chunkAtMost)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			select {
			case chunks <- chunk{bytes.Clone(buffer[:n]), time.Now()}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// errCut ends a connection on purpose.
var errCut = errors.New("cut")

// deliver does to a chunk what is wrong with the way now.
func (c *connection) deliver(ctx context.Context, next chunk, from, to *net.TCPConn, through filter) error {
	wrong := c.way.wrong()
	// After that, since who mends a way ends first those that have lost something.
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch {
	case wrong.swallow:
		return nil
	case wrong.reset:
		return errors.Join(errCut, from.SetLinger(0), to.SetLinger(0))
	case wrong.latency > 0:
		late := wrong.latency/2 + rand.N(wrong.latency)
		if err := wait(ctx, time.Until(next.came.Add(late))); err != nil {
			return err
		}
	}
	data, cut := through(next.data)
	for len(data) > 0 {
		piece := data
		if wrong.latency > 0 {
			piece = data[:min(len(data), 700+rand.IntN(1400))]
		}
		if _, err := to.Write(piece); err != nil {
			return err
		}
		data = data[len(piece):]
	}
	if cut {
		return errCut
	}
	return nil
}
