package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// stream is a client of server-sent events that a test reads line by line.
type stream struct {
	*testing.T
	response *http.Response
	lines    *bufio.Scanner
}

// streamed asks for a stream. Headers are pairs.
func (s *server) streamed(t *testing.T, query string, headers ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, "GET", s.url+"/api/v1/events"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return &stream{t, response, bufio.NewScanner(response.Body)}
}

// block reads the next lines up to an empty one, without comments.
func (s *stream) block() (lines []string) {
	s.Helper()
	for s.lines.Scan() {
		line := s.lines.Text()
		switch {
		case line == "" && len(lines) > 0:
			return lines
		case line != "" && !strings.HasPrefix(line, ":"):
			lines = append(lines, line)
		}
	}
	s.Fatalf("the stream ended: %v behind %q", s.lines.Err(), lines)
	return nil
}

// event reads up to an event that is named so.
func (s *stream) event(name string) []string {
	s.Helper()
	for {
		if lines := s.block(); slices.Contains(lines, "event: "+name) {
			return lines
		}
	}
}

func (s *server) ticket(t *testing.T, token string) string {
	t.Helper()
	a := s.must(t, 201, "POST", "/api/v1/events/ticket", token, nil)
	expires, err := time.Parse(time.RFC3339, a.body["expiresAt"].(string))
	if left := time.Until(expires); err != nil || left < 20*time.Second || left > 40*time.Second {
		t.Errorf("it expires at %v: %v", a.body["expiresAt"], err)
	}
	return a.body["ticket"].(string)
}

func TestAPageListensByATicket(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	const origin = "http://localhost:3000"
	ticket := s.ticket(t, s.admin)
	page := s.streamed(t, "?ticket="+ticket, "Origin", origin)
	h := page.response.Header
	if page.response.StatusCode != 200 || h.Get("Content-Type") != "text/event-stream" || h.Get("Access-Control-Allow-Origin") != origin {
		t.Fatalf("got %d %v", page.response.StatusCode, h)
	}
	if h.Get("X-Request-Id") == "" || h.Get("Cache-Control") != "no-store, no-transform" {
		t.Errorf("got %v", h)
	}
	begin := page.block()
	if len(begin) != 4 || !strings.HasPrefix(begin[0], "retry: ") || !strings.HasPrefix(begin[1], "id: ") || begin[2] != "event: registered" {
		t.Fatalf("it begins with %q", begin)
	}
	placed := s.must(t, 201, "POST", "/api/v1/orders", s.ada, orderOf(s.product))
	told := page.event("order:new")
	var data struct {
		OrderID string
		Seq     int64
	}
	if len(told) != 3 || told[0] != fmt.Sprintf("id: %d", placed.seq()) || told[1] != "event: order:new" ||
		json.Unmarshal([]byte(strings.TrimPrefix(told[2], "data: ")), &data) != nil || data.OrderID != placed.body["id"] || data.Seq != placed.seq() {
		t.Errorf("got %q", told)
	}
	// A ticket is used up, also at the hands of the page that had it.
	refused(t, s.ask(t, "GET", "/api/v1/events?ticket="+ticket, "", ""), 401, "unauthenticated")
	refused(t, s.ask(t, "GET", "/api/v1/events?ticket="+ticket, s.admin, ""), 400, "invalid_request")

	// What happened meanwhile comes when it is back.
	moved := s.move(t, placed.body["id"].(string), "confirmed")
	again := s.streamed(t, "?ticket="+s.ticket(t, s.admin), "Last-Event-ID", fmt.Sprint(placed.seq()))
	if told := again.event("order:status:update"); told[0] != fmt.Sprintf("id: %d", moved.seq()) {
		t.Errorf("got %q", told)
	}
}

func TestOfManyWhoBringATicketToTwoNodesOneListens(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	nodes := []*server{start(t, serverSettings(t, url)), start(t, serverSettings(t, url))}
	ada := tokenFor(t, "ada", domain.RoleCustomer)
	for range 3 {
		ticket := nodes[0].ticket(t, ada)
		statuses := make([]int, 12)
		var all sync.WaitGroup
		for i := range statuses {
			all.Go(func() { statuses[i] = nodes[i%2].ask(t, "GET", "/api/v1/events?ticket="+ticket, "", "").status })
		}
		all.Wait()
		count := map[int]int{}
		for _, status := range statuses {
			count[status]++
		}
		if count[200] != 1 || count[401] != len(statuses)-1 {
			t.Errorf("answered %v", count)
		}
	}
}

func TestAServerThatStopsAsksItsEventSourcesBack(t *testing.T) {
	t.Parallel()
	s := start(t, serverSettings(t, pgtest.Database(t)))
	page := s.streamed(t, "", "Authorization", "Bearer "+tokenFor(t, "ada", domain.RoleCustomer))
	page.block()
	s.stop()
	goodbye := page.event("reconnect")
	if len(goodbye) != 3 || !strings.HasPrefix(goodbye[0], "retry: ") {
		t.Errorf("got %q", goodbye)
	}
	if page.lines.Scan() || page.lines.Err() != nil {
		t.Errorf("behind that there is %q, %v", page.lines.Text(), page.lines.Err())
	}
}
