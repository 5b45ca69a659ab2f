// Package peer is what the servers that are compared have in common: what they are asked to publish, and when, and how
// they say that they listen. Each does the publishing itself, so that none is slowed down by being told of each event.
package peer

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Plan is what a server is asked to publish: events numbered From, From+1, …
type Plan struct {
	From, Messages int
	// Bytes is how much padding an event's data has; with the rest it is about 20 bytes more.
	Bytes int
	// Users: 0 means that every event is for everybody; else each is for To of so many users.
	Users, To int
	// Rate is how many events are published a second, from At on; 0: as fast as can be.
	Rate int
	At   time.Time
}

// Query is the plan as Parse reads it.
func (p Plan) Query() string {
	v := url.Values{}
	for name, n := range map[string]int64{
		"from": int64(p.From), "messages": int64(p.Messages), "bytes": int64(p.Bytes), "users": int64(p.Users), "to": int64(p.To), "rate": int64(p.Rate),
	} {
		v.Set(name, strconv.FormatInt(n, 10))
	}
	if p.Rate > 0 {
		v.Set("at", strconv.FormatInt(p.At.UnixNano(), 10))
	}
	return v.Encode()
}

// Parse reads a plan. What is not given is 0.
func Parse(v url.Values) (Plan, error) {
	var p Plan
	var at int64
	for name, to := range map[string]any{
		"from": &p.From, "messages": &p.Messages, "bytes": &p.Bytes, "users": &p.Users, "to": &p.To, "rate": &p.Rate, "at": &at,
	} {
		if s := v.Get(name); s != "" {
			if _, err := fmt.Sscan(s, to); err != nil {
				return Plan{}, fmt.Errorf("%s=%s: %w", name, s, err)
			}
		}
	}
	p.At = time.Unix(0, at)
	return p, nil
}

// Due is when an event is to be published.
func (p Plan) Due(n int) time.Time {
	return p.At.Add(time.Duration(n-p.From) * time.Second / time.Duration(p.Rate))
}

// AppendUsers appends the users that an event is for.
func (p Plan) AppendUsers(dst []int, n int) []int {
	for i := range p.To {
		dst = append(dst, (n*p.To+i)%p.Users)
	}
	return dst
}

// Run calls publish for each event, never before it is due. users is nil when it is for everybody.
func (p Plan) Run(ctx context.Context, publish func(n int, users []int) error) error {
	var users []int
	for n := p.From; n < p.From+p.Messages; n++ {
		if p.Rate > 0 {
			if early := time.Until(p.Due(n)); early > 0 {
				time.Sleep(early)
			}
		}
		if p.Users > 0 {
			users = p.AppendUsers(users[:0], n)
		}
		if err := publish(n, users); err != nil {
			return fmt.Errorf("publish event %d: %w", n, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Data is the data of an event, as the servers that do not make it themselves publish it.
func (p Plan) Data(n int) []byte {
	return []byte(`{"n":` + strconv.Itoa(n) + `,"pad":"` + strings.Repeat("x", p.Bytes) + `"}`)
}

// User is a user's id.
func User(n int) string { return "u" + strconv.Itoa(n) }
