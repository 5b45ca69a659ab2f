package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/projections"
)

// MinSeq is how far a read model must have come before it is read, from the query or a header.
type MinSeq struct {
	Query  int64 `query:"min_seq" minimum:"0" doc:"Wait up to 2 s until the answer includes this seq, else 503 projection_behind."`
	Header int64 `header:"X-Min-Seq" minimum:"0" doc:"The same as min_seq; the greater of both counts."`
}

func (m MinSeq) seq() int64 { return max(m.Query, m.Header) }

// wait returns when the read model is as far as the client needs it.
func (s *server) wait(ctx context.Context, m MinSeq, waitFor func(context.Context, int64) error) error {
	seq := m.seq()
	if seq == 0 {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, s.cfg.MinSeqWait)
	defer cancel()
	reenter := s.stepOut(callOf(ctx))
	err := waitFor(waiting, seq)
	if err != nil && errors.Is(waiting.Err(), context.DeadlineExceeded) {
		return problem(domain.CodeProjectionBehind, fmt.Sprintf("seq %d is not visible yet: try again in a moment", seq)).with("minSeq", seq)
	}
	if err != nil {
		return err
	}
	return reenter(ctx)
}

// Paging is what of a list is asked for. Like the other embedded inputs it is exported because huma looks into no others.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"The most items to answer."`
	Cursor string `query:"cursor" maxLength:"512" doc:"next of the page before; none for the first page."`
}

// optional is a parameter that says something else when it is the zero value than when it is not there.
type optional[T any] struct {
	value T
	given bool
}

// Schema is that of the value.
func (optional[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

// Receiver is where huma puts the value.
func (o *optional[T]) Receiver() reflect.Value { return reflect.ValueOf(&o.value).Elem() }

// OnParamSet is told whether there was one.
func (o *optional[T]) OnParamSet(isSet bool, _ any) { o.given = isSet }

func (o *optional[T]) pointer() *T {
	if !o.given {
		return nil
	}
	return &o.value
}

// read is an answer from a read model.
type read[T any] struct {
	Seq  int64 `header:"X-Seq" doc:"The answer includes every event up to this one and none after."`
	Body T
}

// asOf adds to a refusal that something is not there, or not the caller's, up to which seq that is so: what was just made
// may only not be visible yet.
func asOf(seq int64, err error) error {
	if err == nil {
		return nil
	}
	p, unexpected := asProblem(err, http.MethodGet)
	if unexpected || (p.Status != http.StatusNotFound && p.Status != http.StatusForbidden) {
		return err
	}
	return p.set("X-Seq", strconv.FormatInt(seq, 10))
}

// list is the body of a page of a list.
type list[T any] struct {
	Items []T     `json:"items" nullable:"false"`
	Next  *string `json:"next" doc:"The cursor of the next page; null on the last."`
}

func listOf[T any](l projections.List[T]) *read[list[T]] {
	body := list[T]{Items: l.Items}
	if body.Items == nil {
		body.Items = []T{}
	}
	if l.Next != "" {
		body.Next = &l.Next
	}
	return &read[list[T]]{Seq: l.Seq, Body: body}
}
