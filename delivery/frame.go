package delivery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/orderlog/orderlog/projections"
)

// Frame is one notification, encoded once for every client that gets it. What can be seen of it never
// changes, so it is shared between goroutines without a lock.
type Frame struct {
	Seq   int64
	Event string
	// Channels that carry it. A frame read for some channels names at least those of them that carry it.
	Channels []string
	At       time.Time
	// Endings are the rights that the event took away.
	Endings []projections.Ending

	// sent counts how often the event was handed out; nil when nobody counts.
	sent *atomic.Int64
	// tail is the encoded object after the value of "prev", and data the part of it that is the notification's data.
	tail []byte
	data []byte

	forms [maxForms]atomic.Pointer[[]byte]
}

// NewFrame encodes a notification. It fails when the data is not JSON.
func NewFrame(n projections.Notification) (*Frame, error) {
	name, err := json.Marshal(n.Event)
	if err != nil {
		return nil, fmt.Errorf("encode the name of notification %d: %w", n.Seq, err)
	}
	at := n.At.UTC()
	tail := bytes.NewBuffer(make([]byte, 0, len(n.Data)+len(name)+96))
	fmt.Fprintf(tail, `,"seq":%d,"event":%s,"data":`, n.Seq, name)
	start := tail.Len()
	if len(n.Data) == 0 {
		tail.WriteString("{}")
	} else if err := json.Compact(tail, n.Data); err != nil { // without line breaks, because a batch has one object a line
		return nil, fmt.Errorf("encode the data of notification %d: %w", n.Seq, err)
	}
	end := tail.Len()
	fmt.Fprintf(tail, `,"at":"%s"}`, at.Format(time.RFC3339Nano))
	encoded := tail.Bytes()
	return &Frame{
		Seq: n.Seq, Event: n.Event, Channels: n.Channels, At: at, Endings: n.Endings,
		tail: encoded, data: encoded[start:end:end],
	}, nil
}

// Append appends {"prev":P,"seq":N,"event":NAME,"data":{…},"at":TIME} to dst, in one line.
func (f *Frame) Append(dst []byte, prev int64) []byte {
	dst = append(dst, `{"prev":`...)
	dst = strconv.AppendInt(dst, prev, 10)
	return append(dst, f.tail...)
}

// Data returns the notification's data as compact JSON. The caller must not change it.
func (f *Frame) Data() json.RawMessage { return f.data }

// AppendData appends the notification's data with one more member, seq: as a client is told of it that gets no envelope.
func (f *Frame) AppendData(dst []byte) []byte {
	if len(f.data) < 2 || f.data[0] != '{' { // no event of the log has other data
		return append(dst, f.data...)
	}
	dst = append(dst, f.data[:len(f.data)-1]...)
	if len(f.data) > 2 {
		dst = append(dst, ',')
	}
	dst = append(dst, `"seq":`...)
	dst = strconv.AppendInt(dst, f.Seq, 10)
	return append(dst, '}')
}

// Size is about how many bytes of memory the frame takes once it has all its forms.
func (f *Frame) Size() int {
	const overhead = 160 + 8*maxForms // the struct, and the headers of what it points to
	size := overhead + len(f.tail)*(1+formsMade()) + len(f.Event)
	for _, c := range f.Channels {
		size += 16 + len(c)
	}
	for _, e := range f.Endings {
		size += 48 + len(e.Channel) + len(e.User) + len(e.Role)
	}
	return size
}

func (h *Hub) encode(items []projections.Notification) ([]*Frame, error) {
	frames := make([]*Frame, len(items))
	for i, n := range items {
		f, err := NewFrame(n)
		if err != nil {
			return nil, err
		}
		f.sent = h.counters.of(f.Event)
		frames[i] = f
	}
	return frames, nil
}
