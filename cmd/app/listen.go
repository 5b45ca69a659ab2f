package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/internal/config"
)

const listenUsage = "listen [--url U] [--token T] [--last-seq N] [--room order:ID]"

const (
	listenRetryMax = 10 * time.Second
	// The server says something at least every 15 s; silence for longer is a dead connection.
	listenSilence = 45 * time.Second
)

// listener is a client as the contract wants it: it keeps the last seq it was told of and comes back with it.
type listener struct {
	out, log io.Writer
	url      string
	token    string
	rooms    []string
	lastSeq  *int64 // nil: live from now on
	logID    string // of the log that lastSeq belongs to
	pause    time.Duration
}

// listen prints each frame that the server sends, as one line of JSON.
func listen(ctx context.Context, env environment, args []string) error {
	l := &listener{out: env.stdout, log: env.stderr}
	flags := flag.NewFlagSet("listen", flag.ContinueOnError)
	flags.StringVar(&l.url, "url", "", "")
	flags.StringVar(&l.token, "token", "", "")
	flags.Func("last-seq", "", func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return errors.New("it is a whole number from 0 on")
		}
		l.lastSeq = &n
		return nil
	})
	flags.Func("room", "", func(s string) error {
		id, ok := strings.CutPrefix(s, "order:")
		if _, err := uuid.Parse(id); !ok || err != nil {
			return errors.New("it is order:ID with the order's UUID")
		}
		l.rooms = append(l.rooms, s)
		return nil
	})
	if err := parse(flags, args, 0, listenUsage); err != nil {
		return err
	}
	if l.token == "" {
		return usageError{"a token is needed: give --token, for example the output of app token; usage: app " + listenUsage}
	}
	if err := l.setURL(env.getenv); err != nil {
		return err
	}
	return l.run(ctx)
}

// setURL makes the address of the socket from --url, which may also be the server's own, or from HOST and PORT.
func (l *listener) setURL(getenv func(string) string) error {
	if l.url == "" {
		cfg, err := config.LoadWithoutKeys(getenv)
		if err != nil {
			return err
		}
		l.url = "ws://" + cfg.Addr() + "/ws"
		return nil
	}
	u, err := url.Parse(l.url)
	if err == nil {
		switch u.Scheme {
		case "http":
			u.Scheme = "ws"
		case "https":
			u.Scheme = "wss"
		}
	}
	if err != nil || (u.Scheme != "ws" && u.Scheme != "wss") || u.Host == "" {
		return usageError{"--url is an address such as ws://127.0.0.1:5000/ws"}
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/ws"
	}
	l.url = u.String()
	return nil
}

// run connects, and comes back after each loss, until ctx ends or the server refuses for good.
func (l *listener) run(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		connected, err := l.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var final *refusedError
		if errors.As(err, &final) {
			return final
		}
		if connected {
			attempt = 0
		}
		wait := l.pause
		if l.pause = 0; wait == 0 {
			wait = min(250*time.Millisecond<<min(attempt, 6), listenRetryMax)
			wait = wait/2 + rand.N(wait/2)
		}
		fmt.Fprintf(l.log, "cut off (%v); coming back in %s\n", err, wait.Round(time.Millisecond))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// refusedError is an answer that coming back would not change.
type refusedError struct{ message string }

func (e *refusedError) Error() string { return e.message }

// follow prints what one connection brings. connected says that the server took the registration.
func (l *listener) follow(ctx context.Context) (connected bool, err error) {
	dialer := websocket.Dialer{Subprotocols: []string{"orderlog.v1.batch"}, HandshakeTimeout: 10 * time.Second, Proxy: http.ProxyFromEnvironment}
	conn, response, err := dialer.DialContext(ctx, l.url, nil) //nolint:bodyclose // the dialer has read it
	if err != nil {
		if response != nil && response.StatusCode/100 == 4 && response.StatusCode != http.StatusTooManyRequests {
			return false, &refusedError{fmt.Sprintf("%s answered %s: is it the address of an Orderlog server?", l.url, response.Status)}
		}
		if response != nil {
			return false, fmt.Errorf("the server answered %s", response.Status)
		}
		return false, err
	}
	closed := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		closed()
		_ = conn.Close()
	}()
	register := map[string]any{"token": l.token, "rooms": l.rooms}
	if l.lastSeq != nil {
		register["lastSeq"] = *l.lastSeq
		if l.logID != "" {
			register["log"] = l.logID
		}
	}
	if err := conn.WriteJSON(map[string]any{"event": "register", "data": register}); err != nil {
		return false, err
	}
	for {
		if err := conn.SetReadDeadline(time.Now().Add(listenSilence)); err != nil {
			return connected, err
		}
		_, message, err := conn.ReadMessage()
		if err != nil {
			return connected, refusal(err)
		}
		for line := range bytes.Lines(message) {
			registered, err := l.take(bytes.TrimSpace(line))
			connected = connected || registered
			if err != nil {
				return connected, err
			}
		}
	}
}

// refusal tells the close codes after which a client must not come back, or would come back in vain.
func refusal(err error) error {
	var closed *websocket.CloseError
	if !errors.As(err, &closed) {
		return err
	}
	if slices.Contains([]int{4400, 4403, 4413}, closed.Code) {
		return &refusedError{fmt.Sprintf("the server closed with %d %s", closed.Code, closed.Text)}
	}
	if closed.Code == 4401 {
		return &refusedError{fmt.Sprintf("the server closed with %d %s: get a new token", closed.Code, closed.Text)}
	}
	return err
}

// frame is what a client has to understand of a frame to keep its cursor.
type frame struct {
	Prev  *int64 `json:"prev"`
	Seq   *int64 `json:"seq"`
	Event string `json:"event"`
	Data  struct {
		Seq       *int64 `json:"seq"`
		Log       string `json:"log"`
		Recovered bool   `json:"recovered"`
		AfterMs   int64  `json:"afterMs"`
	} `json:"data"`
}

// take prints a frame and moves the cursor.
func (l *listener) take(line []byte) (registered bool, err error) {
	if len(line) == 0 {
		return false, nil
	}
	if _, err := fmt.Fprintf(l.out, "%s\n", line); err != nil {
		return false, &refusedError{"the output is closed: " + err.Error()}
	}
	var f frame
	if err := json.Unmarshal(line, &f); err != nil {
		return false, fmt.Errorf("the server sent what is not JSON: %w", err)
	}
	switch {
	case f.Seq != nil:
		if f.Prev == nil || l.lastSeq == nil || *f.Prev != *l.lastSeq {
			return false, fmt.Errorf("seq %d does not follow on what was seen last: something is missing", *f.Seq)
		}
		l.lastSeq = f.Seq
	case f.Event == "registered":
		l.logID = f.Data.Log
		if l.lastSeq == nil {
			l.lastSeq = f.Data.Seq
		}
		return true, nil
	case f.Event == "caught_up", f.Event == "checkpoint", f.Event == "resync":
		l.lastSeq = f.Data.Seq
	case f.Event == "reconnect":
		l.pause = time.Duration(f.Data.AfterMs) * time.Millisecond
	}
	return false, nil
}
