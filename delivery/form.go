package delivery

import "sync/atomic"

// Form is another encoding of frames, for a protocol that has its own. It is made once a frame, for all the clients
// that get it.
type Form int

const maxForms = 8

var lastForm atomic.Int32

// NewForm returns a form that nobody else has. It is for package-level variables: the sizes of frames count the forms
// there are, so they must not change later. There can be 8.
func NewForm() Form {
	n := lastForm.Add(1)
	if n > maxForms {
		panic("delivery: there are more than 8 forms")
	}
	return Form(n - 1)
}

func formsMade() int { return int(lastForm.Load()) }

// Form returns the frame in a form, which encode makes when it is asked for the first time; encode must give the same
// each time. It is safe for concurrent use. The caller must not change the bytes.
func (f *Frame) Form(form Form, encode func(*Frame) []byte) []byte {
	made := &f.forms[form]
	if p := made.Load(); p != nil {
		return *p
	}
	encoded := encode(f)
	encoded = encoded[:len(encoded):len(encoded)] // who appends to it gets a copy
	if made.CompareAndSwap(nil, &encoded) {
		return encoded
	}
	return *made.Load() // another was first
}
