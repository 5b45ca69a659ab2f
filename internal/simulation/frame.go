package simulation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// frame is any object that the server sends over a socket, and an item of the feed.
type frame struct {
	Prev  *int64          `json:"prev"`
	Seq   *int64          `json:"seq"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
	At    time.Time       `json:"at"`
	Ack   int64           `json:"ack"`
	Error *wireError      `json:"error"`
}

// wireError is a refusal over the socket.
type wireError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *wireError) Error() string { return e.Code + ": " + e.Message }

// subject is what of an event's data says what it is about. An event has some of it.
type subject struct {
	Order  string `json:"orderId"`
	Status string `json:"status"`
	Agent  string `json:"deliveryBoyId"`
	Type   string `json:"type"`
}

func subjectOf(data json.RawMessage) subject {
	var s subject
	_ = json.Unmarshal(data, &s) // an event about nothing of this has no subject
	return s
}

// digest stands for all of an event but its prev: two events with the same digest are the same.
type digest [16]byte

// digestOf does not care how JSON is spaced or which letters are escaped: a page of the feed and a socket's message
// may differ in that.
func digestOf(f frame) (digest, error) {
	var data, escaped bytes.Buffer
	if err := json.Compact(&data, f.Data); err != nil {
		return digest{}, fmt.Errorf("the data of seq %d: %w", *f.Seq, err)
	}
	json.HTMLEscape(&escaped, data.Bytes())
	head := binary.BigEndian.AppendUint64(nil, uint64(*f.Seq)) //nolint:gosec // only its bits
	head = binary.BigEndian.AppendUint64(head, uint64(f.At.UnixMicro()))
	h := sha256.New()
	h.Write(head)
	h.Write([]byte(f.Event))
	h.Write([]byte{0})
	h.Write(escaped.Bytes())
	return digest(h.Sum(nil)[:16]), nil
}
