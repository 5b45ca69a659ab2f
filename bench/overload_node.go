package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
)

const overloadUsers = 500

// overloaded is the real program on a database, its customers, and what it has acknowledged.
type overloaded struct {
	server  *server
	pool    *pgxpool.Pool
	stop    func()
	product string
	tokens  []string
	asked   atomic.Int64

	mu           sync.Mutex
	idle         []*wire
	acknowledged []uuid.UUID // orders
	unknown      int         // of which it is not known whether they were placed
}

func startOverloaded(ctx context.Context, url string) (_ *overloaded, err error) {
	program, remove, err := buildProgram(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program.path, "serve") //nolint:noctx // it is interrupted, not killed
	cmd.Env = program.environ(url)
	said, err := cmd.StderrPipe()
	if err != nil {
		remove()
		return nil, err
	}
	address, stop, err := startListening(cmd, said)
	if err != nil {
		remove()
		return nil, err
	}
	n := &overloaded{
		server: &server{name: "orderlog", address: address, pid: cmd.Process.Pid},
		stop:   func() { stop(); remove() },
	}
	if n.pool, err = newPool(ctx, url, 1); err == nil {
		err = n.open(ctx)
	}
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *overloaded) close() {
	for _, w := range n.idle {
		w.close()
	}
	if n.pool != nil {
		n.pool.Close()
	}
	n.stop()
}

// open opens the business, puts something on the menu, and makes customers.
func (n *overloaded) open(ctx context.Context) error {
	admin, err := tokenOf("ada", domain.RoleAdmin)
	if err != nil {
		return err
	}
	if _, err := n.tell(ctx, http.MethodPatch, "/business/status", admin, `{"isOpen": true}`); err != nil {
		return err
	}
	made, err := n.tell(ctx, http.MethodPost, "/products", admin,
		`{"name": "Margherita", "description": "Basil", "price": 950, "currency": "EUR", "available": true}`)
	if err != nil {
		return err
	}
	if n.product, err = idOf(made); err != nil {
		return err
	}
	for i := range overloadUsers {
		token, err := tokenOf(customerOf(i), domain.RoleCustomer)
		if err != nil {
			return err
		}
		n.tokens = append(n.tokens, token)
	}
	return nil
}

func (n *overloaded) tell(ctx context.Context, method, path, token, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, n.server.address+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, res.Status, answer)
	}
	return string(answer), err
}

func idOf(body string) (string, error) {
	_, rest, found := strings.Cut(body, `"id":"`)
	if !found || len(rest) < 36 {
		return "", fmt.Errorf("there is no id in %q", body)
	}
	return rest[:36], nil
}

// once asks until it is accepted.
func (n *overloaded) once(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := n.borrow()
	defer n.giveBack(w)
	for {
		status, err := w.ask(n, time.Now().Add(overloadPatience))
		if err != nil || status < 300 {
			return err
		}
		select { // refused: again in a moment
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (n *overloaded) borrow() *wire {
	n.mu.Lock()
	defer n.mu.Unlock()
	if last := len(n.idle) - 1; last >= 0 {
		w := n.idle[last]
		n.idle = n.idle[:last]
		return w
	}
	return &wire{address: strings.TrimPrefix(n.server.address, "http://")}
}

func (n *overloaded) giveBack(w *wire) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.idle = append(n.idle, w)
}

// next writes the next request. Four of five place an order.
func (n *overloaded) next(into []byte) (request []byte, command bool) {
	i := n.asked.Add(1)
	token := n.tokens[i%int64(len(n.tokens))]
	if i%5 == 0 {
		return fmt.Appendf(into, "GET /api/v1/orders?limit=20 HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n\r\n", token), false
	}
	const body = `{"items":[{"product":"%s","quantity":2}],"deliveryAddress":"Via Roma 1","paymentMethod":"cod"}`
	return fmt.Appendf(into, "POST /api/v1/orders HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Idempotency-Key: bench-%d\r\nContent-Length: %d\r\n\r\n"+body, token, i, len(body)-2+len(n.product), n.product), true
}

// answered takes note of what is to be in the log. A refusal says that nothing is, unless it says that it does not know.
func (n *overloaded) answered(status int, body string, err error) error {
	var id uuid.UUID
	if err == nil && status == http.StatusCreated {
		text, bad := idOf(body)
		if bad != nil {
			return bad
		}
		if id, err = uuid.Parse(text); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case id != uuid.Nil:
		n.acknowledged = append(n.acknowledged, id)
	case err != nil || strings.Contains(body, string(domain.CodeOutcomeUnknown)):
		n.unknown++
	}
	return err
}

// settle waits until the read models have caught up with the log.
func (n *overloaded) settle(ctx context.Context) error {
	for {
		var behind int64
		err := n.pool.QueryRow(ctx, `SELECT (SELECT seq FROM log_head) - (SELECT min(position) FROM checkpoints)`).Scan(&behind)
		if err != nil || behind < 100 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// check holds the log against what was answered.
func (n *overloaded) check(ctx context.Context, out io.Writer) error {
	var placed, once int
	if err := n.pool.QueryRow(ctx, `SELECT count(*) FROM events WHERE type = 'order.placed'`).Scan(&placed); err != nil {
		return err
	}
	const sqlOnce = `SELECT count(*) FROM unnest($1::uuid[]) AS a(id)
		WHERE (SELECT count(*) FROM events e WHERE e.stream_type = 'order' AND e.stream_id = a.id AND e.type = 'order.placed') = 1`
	for from := 0; from < len(n.acknowledged); from += 1000 {
		var some int
		if err := n.pool.QueryRow(ctx, sqlOnce, n.acknowledged[from:min(from+1000, len(n.acknowledged))]).Scan(&some); err != nil {
			return err
		}
		once += some
	}
	fmt.Fprintf(out, "%d orders were acknowledged, and each of %d of them is in the log once; %d are in the log; of %d it was not said\n",
		len(n.acknowledged), once, placed, n.unknown)
	switch {
	case once != len(n.acknowledged):
		return errors.New("what was acknowledged is not in the log once")
	case placed > len(n.acknowledged)+n.unknown:
		return errors.New("the log holds orders that were refused")
	}
	return nil
}

// wire is a client's connection, by hand: a library's would take more of the processors than the node does.
type wire struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
	out     []byte
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// ask sends the next request and reads its answer.
func (w *wire) ask(n *overloaded, until time.Time) (status int, err error) {
	var command bool
	w.out, command = n.next(w.out[:0])
	status, body, err := w.exchange(until)
	if err != nil {
		w.close()
	}
	if command {
		err = errors.Join(err, n.answered(status, body, err))
	}
	if err == nil && status >= 300 && status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
		err = fmt.Errorf("a request was answered %d: %s", status, body)
	}
	return status, err
}

func (w *wire) exchange(until time.Time) (status int, body string, err error) {
	if w.conn == nil {
		if w.conn, err = (&net.Dialer{Deadline: until}).DialContext(context.Background(), "tcp", w.address); err != nil {
			return 0, "", err
		}
		w.in = bufio.NewReaderSize(w.conn, 2<<10)
	}
	if err := w.conn.SetDeadline(until); err != nil {
		return 0, "", err
	}
	if _, err := w.conn.Write(w.out); err != nil {
		return 0, "", err
	}
	length, last := 0, false
	for first := true; ; first = false {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return 0, "", err
		}
		text := strings.TrimRight(string(line), "\r\n")
		name, value, _ := strings.Cut(text, ": ")
		switch {
		case first:
			if len(text) < 12 {
				return 0, "", fmt.Errorf("no answer of HTTP: %q", text)
			}
			if status, err = strconv.Atoi(text[9:12]); err != nil {
				return 0, "", err
			}
		case text == "":
			all := make([]byte, length)
			_, err := io.ReadFull(w.in, all)
			if last {
				w.close()
			}
			return status, string(all), err
		case strings.EqualFold(name, "Content-Length"):
			if length, err = strconv.Atoi(value); err != nil {
				return 0, "", err
			}
		case strings.EqualFold(name, "Connection"):
			last = strings.EqualFold(value, "close")
		case strings.EqualFold(name, "Transfer-Encoding"):
			return 0, "", errors.New("an answer without a length")
		}
	}
}
