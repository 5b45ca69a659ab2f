package namespace

import "github.com/orderlog/orderlog/delivery/socketio/engine"

// shared is how many bytes of a batch the namespaces of a session share, when there are several: about what a batch
// takes, so that each has its part of every batch.
const shared = 32 << 10

// Out takes the events that an Application gives. It is valid until Fill returns.
type Out struct {
	batch  *engine.Batch
	prefix string // of an event in this namespace
	left   int    // bytes that remain of its share
	began  int    // length of what Begin returned
}

// Event takes an event: a JSON array that begins with the name. It is not checked. It costs no allocation.
func (o *Out) Event(array []byte) { o.End(append(o.Begin(), array...)) }

// Begin returns a buffer to which the JSON array of an event is to be appended, for End.
func (o *Out) Begin() []byte {
	buf := o.batch.Begin()
	o.began = len(buf)
	return append(buf, o.prefix...)
}

// End takes the buffer back with the event in it.
func (o *Out) End(buf []byte) {
	o.left -= len(buf) - o.began
	o.batch.End(buf)
}

// Full says that no more should be given now: the batch is full, or other namespaces have their turn.
func (o *Out) Full() bool { return o.left <= 0 || o.batch.Full() }
