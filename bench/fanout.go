package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// What is broadcast, to how many connections.
const (
	fanoutClients  = 1000
	fanoutMessages = 200
	fanoutBytes    = 160 // of padding: about 200 with the rest
	fanoutTimes    = 7
)

// benchFanout has both servers tell 1,000 Socket.IO connections over WebSocket the same 200 events, one server after
// the other, in rounds. Either has a process of its own and nothing else to do: no database, no tokens. Every client
// checks that each event comes once and in order.
func benchFanout(ctx context.Context, out io.Writer, _ string) error {
	fmt.Fprintf(out, "%s; %d messages of about %d bytes to %d connections\n", machine(), fanoutMessages, fanoutBytes+40, fanoutClients)
	peer, stopPeer, err := startNodePeer(ctx)
	if err != nil {
		return err
	}
	defer stopPeer()
	ours, stopOurs, err := startFanoutServer()
	if err != nil {
		return err
	}
	defer stopOurs()

	next := map[string]int{ours: 1, peer: 1}
	if err := fanoutRounds(ctx, out, "fanout_socketio", ours, peer, next, fanoutMessages, 4); err != nil {
		return err
	}
	// One event after the other, each when all have the one before, so that nothing can be gathered.
	return fanoutRounds(ctx, out, "fanout_socketio_single", ours, peer, next, 1, 1)
}

// fanoutRounds measures both servers in turn. The messages are sent so many at a time.
func fanoutRounds(ctx context.Context, out io.Writer, name, ours, peer string, next map[string]int, atOnce int, target float64) error {
	fmt.Fprintf(out, "%d at a time\n", atOnce)
	var r ratios
	for round := range rounds(fanoutTimes) {
		var rates [2]float64
		servers := []string{ours, peer}
		for i := range servers {
			i := (i + round) % 2 // take turns in who goes first
			rate, err := fanoutRound(ctx, servers[i], next[servers[i]], atOnce)
			if err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, []string{"orderlog", "socket.io"}[i], err)
			}
			next[servers[i]] += fanoutMessages
			rates[i] = rate
		}
		fmt.Fprintf(out, "round %d: orderlog %.0f deliveries/s, socket.io %.0f\n", round+1, rates[0], rates[1])
		r = append(r, rates[0]/rates[1])
	}
	result(out, name, "socket.io", r, target, false)
	return nil
}

// fanoutRound connects the clients, has the messages sent and waits until each client has each of them. It returns
// deliveries a second, from the moment the server is asked to the last delivery.
func fanoutRound(ctx context.Context, server string, from, atOnce int) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	listeners := make([]*listener, fanoutClients)
	defer func() {
		for _, l := range listeners {
			if l != nil {
				_ = l.conn.Close()
			}
		}
	}()
	if err := inParallel(16, fanoutClients, func(i int) (err error) {
		listeners[i], err = dialListener(ctx, server)
		return err
	}); err != nil {
		return 0, err
	}
	var took time.Duration
	errs := make([]error, fanoutClients)
	for sent := 0; sent < fanoutMessages; sent += atOnce {
		var wg sync.WaitGroup
		for i, l := range listeners {
			wg.Go(func() { errs[i] = l.expect(from+sent, atOnce) })
		}
		began := time.Now()
		if err := publish(ctx, server, from+sent, atOnce); err != nil {
			return 0, err
		}
		wg.Wait()
		took += time.Since(began)
		if err := errors.Join(errs...); err != nil {
			return 0, err
		}
	}
	return fanoutClients * fanoutMessages / took.Seconds(), nil
}

func publish(ctx context.Context, server string, from, messages int) error {
	address := fmt.Sprintf("%s/publish?messages=%d&bytes=%d&from=%d", server, messages, fanoutBytes, from)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %s", res.Status)
	}
	return nil
}

// inParallel does n things, some at a time, and returns the first error.
func inParallel(width, n int, do func(i int) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	jobs := make(chan int)
	for range width {
		wg.Go(func() {
			for i := range jobs {
				if err := do(i); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	return first
}

// listener is a Socket.IO client that costs as little as can be, so that the servers are what is measured: it reads
// WebSocket frames in place.
type listener struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialListener(ctx context.Context, server string) (*listener, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	l := &listener{conn: conn, in: bufio.NewReaderSize(conn, 8<<10)}
	if err := l.handshake(u.Host); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

func (l *listener) handshake(host string) error {
	fmt.Fprintf(l.conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", host)
	res, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the handshake was answered %s", res.Status)
	}
	if _, err := l.await('0'); err != nil {
		return err
	}
	if err := l.say([]byte("40")); err != nil {
		return err
	}
	_, err = l.await('4', '0')
	return err
}

// say sends a short text frame, masked with zeros.
func (l *listener) say(text []byte) error {
	frame := append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
	_, err := l.conn.Write(frame)
	return err
}

// next returns a message, which is good until the next call.
func (l *listener) next() ([]byte, error) {
	for {
		head, err := l.in.Peek(2)
		if err != nil {
			return nil, err
		}
		opcode, size, skip := head[0]&0x0f, int(head[1]), 2
		if size == 126 {
			if head, err = l.in.Peek(4); err != nil {
				return nil, err
			}
			size, skip = int(binary.BigEndian.Uint16(head[2:])), 4
		}
		if opcode != 1 || size > 4<<10 {
			return nil, fmt.Errorf("a frame of kind %d with %d bytes came", opcode, size)
		}
		frame, err := l.in.Peek(skip + size)
		if err != nil {
			return nil, err
		}
		if _, err := l.in.Discard(skip + size); err != nil { // what was peeked at stays until the next reading
			return nil, err
		}
		if string(frame[skip:]) != "2" {
			return frame[skip:], nil
		}
		if err := l.say([]byte("3")); err != nil {
			return nil, err
		}
	}
}

func (l *listener) await(prefix ...byte) ([]byte, error) {
	m, err := l.next()
	if err == nil && !bytes.HasPrefix(m, prefix) {
		err = fmt.Errorf("%s came, not %s…", m, prefix)
	}
	return m, err
}

// expect reads the events numbered from on, and nothing else.
func (l *listener) expect(from, count int) error {
	if err := l.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	want := []byte(`42["e",{"n":`)
	for n := from; n < from+count; {
		m, err := l.next()
		if err != nil {
			return fmt.Errorf("after %d events: %w", n-from, err)
		}
		if bytes.HasPrefix(m, []byte(`42["checkpoint"`)) {
			continue
		}
		number, _, ok := bytes.Cut(bytes.TrimPrefix(m, want), []byte(","))
		if got, err := strconv.Atoi(string(number)); !ok || err != nil || got != n || !bytes.HasPrefix(m, want) {
			return fmt.Errorf("event %d should come, and %.80s did", n, m)
		}
		n++
	}
	return nil
}

// startNodePeer installs socket.io and starts a server with it.
func startNodePeer(ctx context.Context) (address string, stop func(), err error) {
	dir, err := peerFolder(ctx, string(peerSocketIO))
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command("node", "server.mjs") //nolint:noctx // it is interrupted, not killed
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	said, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	return startListening(cmd, said)
}

// startFanoutServer starts this program once more, as a server.
func startFanoutServer() (address string, stop func(), err error) {
	cmd, err := ourself("")
	if err != nil {
		return "", nil, err
	}
	cmd.Stderr = os.Stderr
	said, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	return startListening(cmd, said)
}
