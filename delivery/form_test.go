package delivery

import (
	"bytes"
	"strconv"
	"sync"
	"testing"

	"github.com/orderlog/orderlog/projections"
)

var testForm, otherForm = NewForm(), NewForm()

func TestAFormIsMadeOnceForAll(t *testing.T) {
	t.Parallel()
	f, err := NewFrame(projections.Notification{Seq: 7, Event: "e", Data: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	size := f.Size()
	got := make([][]byte, 8)
	var wg, asked sync.WaitGroup
	asked.Add(len(got))
	encode := func(f *Frame) []byte {
		asked.Done()
		asked.Wait() // all are asked before one has answered
		return append(make([]byte, 0, 64), "seq "+strconv.FormatInt(f.Seq, 10)...)
	}
	for i := range got {
		wg.Go(func() { got[i] = f.Form(testForm, encode) })
	}
	wg.Wait()
	for _, b := range got {
		if string(b) != "seq 7" || &b[0] != &got[0][0] || cap(b) != len(b) {
			t.Errorf("got %q, or more than one, or one that can be appended to", b)
		}
	}
	made := f.Form(testForm, func(*Frame) []byte { t.Error("it is made again"); return nil })
	if !bytes.Equal(made, got[0]) {
		t.Errorf("got %q", made)
	}
	if other := f.Form(otherForm, func(*Frame) []byte { return []byte("x") }); string(other) != "x" {
		t.Errorf("the other form is %q", other)
	}
	if f.Size() != size { // the ring takes off what it has added
		t.Errorf("its size was %d and is %d", size, f.Size())
	}
}
