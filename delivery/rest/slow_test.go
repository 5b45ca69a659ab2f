package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A client that never reads its answer is let go.
func TestAnswersThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answered := make(chan Observation, 1)
		server := &http.Server{Handler: newWorld().handler(t, func(c *Config) { c.Observe = func(o Observation) { answered <- o } })}
		client, end := net.Pipe() // without a buffer, as if every one on the way were full
		line := &oneConnection{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		line.conn <- end
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(line) }()

		if _, err := fmt.Fprint(client, "GET /openapi.json HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		<-answered // which is when the server gave up: the document is larger than what it gathers for one write
		if took := time.Since(started); took != 45*time.Second {
			t.Errorf("the server waited %s", took)
		}
		if rest, err := io.ReadAll(client); err != nil || len(rest) > 0 {
			t.Errorf("the connection is still there: %d bytes, %v", len(rest), err)
		}
		if err := server.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}
