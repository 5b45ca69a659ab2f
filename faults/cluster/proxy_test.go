package cluster

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server answers each connection by what do does with it, until the test ends.
func server(t *testing.T, do func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				do(c)
			}()
		}
	}()
	return l.Addr().String()
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

func newTestProxy(t *testing.T, upstream string, g *gate) *proxy {
	t.Helper()
	p, err := newProxy(upstream, g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.cut)
	return p
}

func dial(t *testing.T, p *proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// comesBack says whether what is sent is answered by the same.
func comesBack(c net.Conn, sent []byte) error {
	failed := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		failed <- err
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, sent) {
		return errors.New("other bytes came back")
	}
	return <-failed
}

func TestMessagesOfAnySizeGoThroughAsTheyAre(t *testing.T) {
	t.Parallel()
	p := newTestProxy(t, server(t, echo), new(gate))
	c := dial(t, p)
	if err := comesBack(c, startup()); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 100, 70_000, 1_000_000} {
		body := make([]byte, size)
		_, _ = rand.Read(body)
		row := append(binary.BigEndian.AppendUint32([]byte{'d'}, uint32(size+4)), body...)
		if err := comesBack(c, bytes.Repeat(row, 5)); err != nil {
			t.Errorf("messages of %d bytes: %v", size, err)
		}
	}
}

func TestAWayThatIsCutIsThereAgainWhenItIsMended(t *testing.T) {
	t.Parallel()
	p := newTestProxy(t, server(t, echo), nil)
	c := dial(t, p)
	if err := comesBack(c, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	p.cut()
	if err := comesBack(c, []byte("hello")); err == nil {
		t.Error("a connection outlived the cut")
	}
	if c, err := net.Dial("tcp", p.address()); err == nil {
		_ = c.Close()
		t.Error("a way that is cut takes connections")
	}
	if err := errors.Join(p.mend(), p.mend()); err != nil {
		t.Fatal(err)
	}
	if err := comesBack(dial(t, p), []byte("hello")); err != nil {
		t.Error(err)
	}
}

func TestAHalfOpenWaySwallowsAndEndsItsConnectionsWhenItIsMended(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 1)
	p := newTestProxy(t, server(t, func(c net.Conn) {
		var all bytes.Buffer
		_, _ = io.Copy(c, io.TeeReader(c, &all))
		heard <- all.String()
	}), nil)
	c := dial(t, p)
	if err := comesBack(c, []byte("before")); err != nil {
		t.Fatal(err)
	}
	p.worsen(func(t *trouble) { t.swallow = true })
	if _, err := c.Write(make([]byte, 8<<20)); err != nil { // as much as buffers do not hold
		t.Errorf("the client was told: %v", err)
	}
	if err := p.mend(); err != nil {
		t.Fatal(err)
	}
	if left, err := io.ReadAll(c); len(left) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client heard %q, %v", left, err)
	}
	if got := <-heard; got != "before" {
		t.Errorf("the server heard %d bytes", len(got))
	}
}

// What PostgreSQL answers to a commit does not reach the client, which is cut off when it has been said.
func TestAnAnswerToACommitIsLostWithItsConnection(t *testing.T) {
	t.Parallel()
	ready := message('Z', "I")
	p := newTestProxy(t, server(t, func(c net.Conn) {
		buf := make([]byte, 1024)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write(ready); err != nil {
				return
			}
		}
	}), new(gate))
	answer := func(c net.Conn, question []byte) error {
		if _, err := c.Write(question); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, len(ready)))
		return err
	}
	c := dial(t, p)
	if err := answer(c, startup()); err != nil {
		t.Fatal(err)
	}
	commit := message('Q', "COMMIT\x00")
	p.gate.set(afterCommit)
	for n := 1; n < everyCommit; n++ {
		if err := answer(c, commit); err != nil {
			t.Fatalf("commit %d is answered by %v", n, err)
		}
	}
	if err := answer(c, commit); !errors.Is(err, io.EOF) {
		t.Errorf("commit %d is answered by %v", everyCommit, err)
	}
	p.gate.set(nowhere)
	c = dial(t, p)
	if err := errors.Join(answer(c, startup()), answer(c, commit), answer(c, commit), answer(c, commit)); err != nil {
		t.Errorf("afterwards a commit is answered by %v", err)
	}
}

func TestASlowWayIsLateAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	const latency = 200 * time.Millisecond
	p := newTestProxy(t, server(t, echo), nil)
	p.worsen(func(t *trouble) { t.latency = latency })
	c := dial(t, p)
	for _, size := range []int{1, 100_000} {
		sent := make([]byte, size)
		_, _ = rand.Read(sent)
		began := time.Now()
		if err := comesBack(c, sent); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if took := time.Since(began); took < latency { // half of it at least, twice
			t.Errorf("%d bytes came back after %v", size, took)
		}
	}
}

func TestWhoSendsSomethingOnAWayThatResetsIsReset(t *testing.T) {
	t.Parallel()
	p := newTestProxy(t, server(t, echo), nil)
	c := dial(t, p)
	if err := comesBack(c, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	p.worsen(func(t *trouble) { t.reset = true })
	if err := comesBack(c, []byte("hello")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("it was answered by %v", err)
	}
	if err := p.mend(); err != nil {
		t.Fatal(err)
	}
	if err := comesBack(dial(t, p), []byte("hello")); err != nil {
		t.Error(err)
	}
}

func TestTheEndOfOneDirectionLeavesTheOther(t *testing.T) {
	t.Parallel()
	p := newTestProxy(t, server(t, func(c net.Conn) {
		all, _ := io.ReadAll(c)
		_, _ = c.Write(all)
	}), nil)
	c := dial(t, p)
	if _, err := c.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(c); string(answer) != "question" || err != nil {
		t.Errorf("it was answered by %q, %v", answer, err)
	}
}

// Connections in both directions are full, so that each goroutine that carries something waits: none of them may be waited
// for by who breaks the way or mends it.
func TestAWayWhoseConnectionsAreStuckCanBeBrokenAndMended(t *testing.T) {
	t.Parallel()
	full := func(c net.Conn) {
		zeros := make([]byte, 1<<20)
		for {
			if _, err := c.Write(zeros); err != nil {
				return
			}
		}
	}
	p := newTestProxy(t, server(t, full), nil)
	var writing sync.WaitGroup
	for range 20 {
		c := dial(t, p)
		writing.Go(func() { full(c) })
	}
	troubles := []func(*trouble){
		func(t *trouble) { t.latency = time.Hour },
		func(t *trouble) { t.reset = true },
		func(t *trouble) { t.swallow = true },
	}
	for _, with := range troubles {
		p.worsen(with)
		if err := p.mend(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.drop(); err != nil {
		t.Fatal(err)
	}
	writing.Wait() // as soon as they are cut, not when their deadline has come
	if len(p.connections) > 0 {
		t.Errorf("%d connections are there still", len(p.connections))
	}
}

func TestAWayToWhatIsGoneEndsItsConnections(t *testing.T) {
	t.Parallel()
	nobody, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, newTestProxy(t, nobody, nil))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client was told %v", err)
	}
}
