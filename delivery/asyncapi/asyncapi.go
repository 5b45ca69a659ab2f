// Package asyncapi describes the WebSocket in an AsyncAPI 3.0 document, made from the same tables and Go types that the
// program answers by.
//
// Guarantee: the document describes exactly the messages that it was given, each as it is on the wire, the envelope
// included. It is the same for the same input, byte for byte.
package asyncapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Document is what is described.
type Document struct {
	// Version is the program's.
	Version string
	// Host is where a server may be found, such as localhost:5000.
	Host string
	// Events come from the log, each at a seq.
	Events []Event
	// Client are the messages that clients send, Server those that the server sends beside the log's events and the
	// acknowledgements.
	Client []ClientMessage
	Server []ServerMessage
	// Failure is the zero value of what an acknowledgement says of a message that could not be served.
	Failure any
}

// Event is an event from the log.
type Event struct {
	Name, Summary string
	// Channels carry it, such as "role:admin" or "user:CUSTOMER".
	Channels []string
	// Data is the type of its data, a struct.
	Data reflect.Type
}

// ClientMessage is a message from a client.
type ClientMessage struct {
	Name, Summary string
	Data          any // the zero value of its data; nil: none
	Ack           any // the zero value of the data of its acknowledgement
	// Bare says that the data may also be the one thing that it must hold, and not an object: "ID" for {"orderId": "ID"}.
	Bare bool
}

// ServerMessage is a message from the server that has no seq.
type ServerMessage struct {
	Name, Summary string
	Data          any // the zero value of its data; nil: none
}

const (
	socket  = "socket"
	failed  = "ack.failed"
	ofAck   = ".ack"
	version = "3.0.0"
)

// Key is what a message or an operation is called in the document, where a colon may not be.
func Key(name string) string { return strings.ReplaceAll(name, ":", "-") }

// Build makes the document, as JSON. It fails when a message is described twice or has no type where it needs one.
func Build(d Document) (_ []byte, err error) {
	defer func() { // how huma says what it cannot describe
		if p := recover(); p != nil {
			err = fmt.Errorf("asyncapi: %v", p)
		}
	}()
	b := builder{types: newTypes(), messages: object{}, operations: object{}}
	b.events(d.Events)
	b.server(d.Server)
	b.client(d.Client, d.Failure)
	if b.twice != "" {
		return nil, errors.New("asyncapi: " + b.twice + " is described twice")
	}
	carried := object{}
	for key := range b.messages {
		carried[key] = ref("components/messages/" + key)
	}
	return json.Marshal(object{
		"asyncapi":           version,
		"info":               object{"title": "Orderlog, the sockets", "version": d.Version, "description": description},
		"defaultContentType": "application/json",
		"servers": object{"server": object{
			"host": d.Host, "protocol": "ws", "description": "Any node; wss behind a proxy that ends TLS.",
			"security": []object{ref("components/securitySchemes/bearer")},
		}},
		"channels": object{socket: object{
			"address": "/ws", "title": "The WebSocket", "description": "Subprotocols orderlog.v1, one object a text message, and orderlog.v1.batch, one or more, one a line.",
			"messages": carried, "bindings": object{"ws": object{"method": "GET"}},
		}},
		"operations": b.operations,
		"components": object{
			"messages": b.messages,
			"schemas":  b.types.schemas(),
			"securitySchemes": object{"bearer": object{
				"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
				"description": "In the handshake's Authorization header, or as the token of register.",
			}},
		},
	})
}

type object = map[string]any

func ref(path string) object { return object{"$ref": "#/" + path} }

// builder gathers messages and operations. Operations are named from the server's side: it receives what clients send.
type builder struct {
	types                *types
	messages, operations object
	twice                string
}

func (b *builder) message(key, name, summary string, payload object) object {
	if _, ok := b.messages[key]; ok {
		b.twice = name
	}
	b.messages[key] = object{"name": name, "title": name, "summary": summary, "payload": payload}
	return ref("channels/" + socket + "/messages/" + key)
}

func (b *builder) send(operation, summary string, messages []object) {
	if len(messages) > 0 {
		b.operations[operation] = object{
			"action": "send", "channel": ref("channels/" + socket), "summary": summary, "messages": messages,
		}
	}
}

func (b *builder) events(events []Event) {
	var all []object
	for _, e := range events {
		all = append(all, b.message(Key(e.Name), e.Name, e.Summary+" For "+strings.Join(e.Channels, ", ")+".", closed(
			object{
				"prev":  object{"type": "integer", "minimum": 0, "description": "The seq this connection was told of before."},
				"seq":   object{"type": "integer", "minimum": 1, "description": "The event's place in the log: the lastSeq to come back with."},
				"event": object{"const": e.Name},
				"data":  b.types.of(e.Data),
				"at":    object{"type": "string", "format": "date-time", "description": "When it was recorded."},
			}, "prev", "seq", "event", "data", "at")))
	}
	b.send("events", "What happened, from the log, to those whose channels it is in.", all)
}

func (b *builder) server(messages []ServerMessage) {
	var all []object
	for _, m := range messages {
		members, required := object{"event": object{"const": m.Name}}, []string{"event"}
		if m.Data != nil {
			members["data"], required = b.types.of(reflect.TypeOf(m.Data)), []string{"event", "data"}
		}
		all = append(all, b.message(Key(m.Name), m.Name, m.Summary, closed(members, required...)))
	}
	b.send("messages", "What the server says of the connection itself.", all)
}

// An id of a message, which its acknowledgement gives back.
var id = object{"type": []string{"number", "string"}, "description": "A number, or a string of at most 62 bytes."}

func (b *builder) client(messages []ClientMessage, failure any) {
	if len(messages) == 0 {
		return
	}
	no := b.message(failed, "ack", "The message with that id could not be served.", closed(
		object{"ack": id, "error": b.types.of(reflect.TypeOf(failure))}, "ack", "error"))
	for _, m := range messages {
		members, required := object{"event": object{"const": m.Name}, "id": id}, []string{"event"}
		if m.Data != nil {
			data := b.types.open(reflect.TypeOf(m.Data))
			members["data"] = data
			if m.Bare {
				members["data"] = object{"anyOf": []any{data, object{"type": "string"}}}
			}
			if b.types.requires(reflect.TypeOf(m.Data)) {
				required = append(required, "data")
			}
		}
		given := b.message(Key(m.Name), m.Name, m.Summary, object{"type": "object", "properties": members, "required": required})
		yes := b.message(Key(m.Name)+ofAck, "ack", "Acknowledges "+m.Name+".", closed(
			object{"ack": id, "data": b.types.of(reflect.TypeOf(m.Ack))}, "ack", "data"))
		b.operations[Key(m.Name)] = object{
			"action": "receive", "channel": ref("channels/" + socket), "summary": m.Summary, "messages": []object{given},
			"reply": object{"channel": ref("channels/" + socket), "messages": []object{yes, no}},
		}
	}
}

// closed is the schema of an object that has nothing but these members.
func closed(members object, required ...string) object {
	return object{"type": "object", "properties": members, "required": required, "additionalProperties": false}
}

const description = `What goes over the WebSocket at /ws, one JSON object at a time.

A connection registers first and says the last seq it was told of. Then it gets every event of its channels after that
one, in order and once, caught_up, and from there on what is new. A capital word in the channels of an event stands for
an id. seq only rises on a connection; prev is the seq the connection was told of before, so that a client which never
saw prev knows that something is missing.

A message with an id is answered by {"ack": ID, "data": …} or {"ack": ID, "error": …}; without one only its failure is
told, as the message error. Members that are not described here are ignored in what clients send.`
