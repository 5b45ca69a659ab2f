package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay/rebuild"
)

const (
	ordersASecond  = 100
	readersOfViews = 4
	rebuildGoal    = 20_000 // events a second
)

// benchRebuild derives the orders view anew while a server takes orders and answers readers, who may notice nothing.
func benchRebuild(ctx context.Context, out io.Writer, url string) error {
	fmt.Fprintf(out, "%s; %d orders a second arrive, %d readers read one after the other\n", machine(), ordersASecond, readersOfViews)
	program, remove, err := buildProgram(ctx)
	if err != nil {
		return err
	}
	defer remove()
	pool, err := newPool(ctx, url, 4)
	if err != nil {
		return err
	}
	defer pool.Close()
	orders, err := fillAndSay(ctx, out, pool, million)
	if err != nil {
		return err
	}
	// What the past would have notified of and answered to is not part of this.
	for _, sql := range []string{
		`UPDATE checkpoints SET position = (SELECT seq FROM log_head) WHERE group_name IN ('feed', 'inbox', 'refunds', 'proofs')`,
		`UPDATE notification_floor SET floor = (SELECT seq FROM log_head)`,
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := catchUp(ctx, out, pool, projections.ViewsGroup(pool)); err != nil {
		return err
	}
	address, stop, err := program.serve(url)
	if err != nil {
		return err
	}
	defer stop()
	p, err := newPublic(ctx, address, orders)
	if err != nil {
		return err
	}
	rates, err := p.during(ctx, func(ctx context.Context) (ratios, error) { return rebuildRounds(ctx, out, url) })
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "meanwhile %d orders were placed and %d answers read: none failed, none went back\n", p.placed.Load(), p.reads.Load())
	result(out, "rebuild_orders", "goal_20k_events", rates, 1, false)
	return plantedBug(ctx, out, pool, url, orders[0])
}

func rebuildRounds(ctx context.Context, out io.Writer, url string) (rates ratios, err error) {
	for range rounds(auditRounds) {
		r, err := rebuildOrders(ctx, url, false)
		if err != nil {
			return nil, err
		}
		rate := float64(r.Events) / r.Took.Seconds()
		fmt.Fprintf(out, "%d events in %s: %.0f events/s; %d rows; %d differ at seq %d; swapped: %t\n",
			r.Events, r.Took.Round(10*time.Millisecond), rate, r.Rows["orders_view"], r.Different, r.Seq, r.Swapped)
		if r.Different > 0 || !r.Swapped || r.Events < million {
			return nil, fmt.Errorf("the rebuild came to %+v", r)
		}
		rates = append(rates, rate/rebuildGoal)
	}
	return rates, nil
}

func rebuildOrders(ctx context.Context, url string, dry bool) (rebuild.Result, error) {
	models, err := rebuild.Choose("orders")
	if err != nil {
		return rebuild.Result{}, err
	}
	return rebuild.Run(ctx, url, models, rebuild.Options{Name: "orders", Program: "bench", DryRun: dry})
}

// plantedBug changes a row of the live table by hand, which the comparison has to name.
func plantedBug(ctx context.Context, out io.Writer, pool *pgxpool.Pool, url string, order uuid.UUID) error {
	_, err := pool.Exec(ctx, `UPDATE orders_view SET doc = jsonb_set(doc::jsonb, '{totalAmount}', '1')::json WHERE id = $1`, order)
	if err != nil {
		return err
	}
	r, err := rebuildOrders(ctx, url, true)
	if err != nil {
		return err
	}
	if r.Different != 1 || r.Differences[0].Key != "id="+order.String() {
		return fmt.Errorf("a row that was changed by hand is not named: %+v", r)
	}
	fmt.Fprintf(out, "a row that was changed by hand is named: %s %s\n", r.Differences[0].Table, r.Differences[0].Key)
	return nil
}

// public is who uses a server: customers that order and readers that read.
type public struct {
	address       string
	admin         string
	customer      string
	product       string
	past          []uuid.UUID
	placed, reads atomic.Int64
}

func newPublic(ctx context.Context, address string, past []uuid.UUID) (*public, error) {
	p := &public{address: address, past: past}
	for token, id := range map[*string]auth.Identity{
		&p.admin: {UserID: "boss", Role: domain.RoleAdmin}, &p.customer: {UserID: "ann", Role: domain.RoleCustomer, Name: "Ann"},
	} {
		id.ExpiresAt = time.Now().Add(time.Hour)
		signed, err := auth.Sign([]byte(benchSecret), id)
		if err != nil {
			return nil, err
		}
		*token = signed
	}
	if _, _, err := p.ask(ctx, http.MethodPatch, "/business/status", p.admin, map[string]any{"isOpen": true}); err != nil {
		return nil, err
	}
	body, _, err := p.ask(ctx, http.MethodPost, "/products", p.admin, map[string]any{"name": "Margherita", "price": 950, "currency": "EUR", "available": true})
	if err != nil {
		return nil, err
	}
	var product struct{ ID string }
	err = json.Unmarshal(body, &product)
	p.product = product.ID
	return p, err
}

// during orders and reads until work is done.
func (p *public) during(ctx context.Context, work func(context.Context) (ratios, error)) (ratios, error) {
	using, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	begin := func(f func(context.Context) error) {
		wg.Go(func() {
			if err := f(using); err != nil && using.Err() == nil {
				stop(err)
			}
		})
	}
	for range readersOfViews {
		begin(p.read)
	}
	begin(p.order)
	rates, err := work(using)
	failed := context.Cause(using)
	stop(nil)
	wg.Wait()
	return rates, errors.Join(err, failed)
}

// read reads orders and lists of them for as long as it may. What it was told last was as of a seq: nothing may go back
// behind that.
func (p *public) read(ctx context.Context) error {
	last := int64(0)
	for n := 0; ctx.Err() == nil; n++ {
		path := "/orders?limit=20"
		if n%4 > 0 {
			path = "/orders/" + p.past[(n*7919)%len(p.past)].String()
		}
		_, seq, err := p.ask(ctx, http.MethodGet, path, p.admin, nil)
		if err != nil {
			return err
		}
		if seq < last {
			return fmt.Errorf("GET %s answered as of %d after %d", path, seq, last)
		}
		last = seq
		p.reads.Add(1)
	}
	return nil
}

func (p *public) order(ctx context.Context) error {
	tick := time.NewTicker(time.Second / ordersASecond)
	defer tick.Stop()
	failed := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	order := map[string]any{
		"items": []map[string]any{{"product": p.product, "quantity": 2}}, "deliveryAddress": "Via Roma 1", "paymentMethod": "cod",
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-tick.C:
		}
		wg.Go(func() {
			if _, _, err := p.ask(ctx, http.MethodPost, "/orders", p.customer, order); err != nil {
				select {
				case failed <- err:
				default:
				}
				return
			}
			p.placed.Add(1)
		})
	}
}

func (p *public) ask(ctx context.Context, method, path, token string, body any) (answer []byte, seq int64, err error) {
	var sent io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, 0, err
		}
		sent = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.address+"/api/v1"+path, sent)
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(response.Body)
	if err == nil && response.StatusCode > 299 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	if err != nil {
		return nil, 0, err
	}
	seq, err = strconv.ParseInt(response.Header.Get("X-Seq"), 10, 64)
	return answer, seq, err
}
