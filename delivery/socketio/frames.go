package socketio

import (
	"encoding/json"
	"fmt"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/projections"
)

// eventStatusChanged is told to admins before each order:status:update, with the same data: the system before this one
// named it so for them.
const eventStatusChanged = "order:status:changed"

// A frame is encoded once for all sockets that are told of it.
var (
	formEvent   = delivery.NewForm()
	formChanged = delivery.NewForm()
)

// isPair says that an admin is told of a frame by two packets.
func isPair(f *delivery.Frame) bool { return f.Event == projections.EventOrderStatus }

// eventOf is the array of a frame's packet: ["order:new",{…,"seq":17},"17"].
func eventOf(f *delivery.Frame) []byte {
	return f.Form(formEvent, func(f *delivery.Frame) []byte {
		return appendFrame(nil, f, f.Event, offset{seq: f.Seq})
	})
}

// changedOf is the array of the first of an admin's two packets: ["order:status:changed",{…,"seq":17},"17/1"].
func changedOf(f *delivery.Frame) []byte {
	return f.Form(formChanged, func(f *delivery.Frame) []byte {
		return appendFrame(nil, f, eventStatusChanged, offset{seq: f.Seq, first: true})
	})
}

func appendFrame(dst []byte, f *delivery.Frame, name string, at offset) []byte {
	quoted, err := json.Marshal(name)
	if err != nil {
		panic(fmt.Sprintf("socketio: a name that cannot be encoded: %v", err)) // text always can
	}
	if dst == nil {
		dst = make([]byte, 0, len(f.Data())+len(quoted)+64)
	}
	dst = append(append(dst, '['), quoted...)
	dst = appendOffset(f.AppendData(append(dst, ',')), at)
	return append(dst, ']')
}

// appendOffset appends the last argument of a packet, by which the client knows where it is.
func appendOffset(dst []byte, at offset) []byte {
	return append(at.appendTo(append(dst, ',', '"')), '"')
}

// appendEvent appends the array of a packet that is not of the log. Without an offset the client's does not move.
func appendEvent(dst []byte, name string, data any, at *offset) []byte {
	encoded, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("socketio: data that cannot be encoded: %v", err)) // it is of this program's making
	}
	dst = append(append(append(dst, '[', '"'), name...), '"', ',')
	dst = append(dst, encoded...)
	if at != nil {
		dst = appendOffset(dst, *at)
	}
	return append(dst, ']')
}
