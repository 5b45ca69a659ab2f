// Package asyncapitest holds what goes over a socket to an AsyncAPI document.
//
// Guarantee: a frame passes only if a message of the document describes it, the envelope and the data, and if it is
// sent by the side that may send it; an acknowledgement only if it is one of the message that has its id.
package asyncapitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	specs "github.com/asyncapi/spec-json-schemas/v6"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Checker knows a document. It is safe for concurrent use.
type Checker struct {
	received map[string]operation          // by the event that a client sends
	sent     map[string]*jsonschema.Schema // by the event that the server sends
	failed   *jsonschema.Schema            // the acknowledgement of what could not be served
}

// operation is a client's message and what may come back.
type operation struct {
	message *jsonschema.Schema
	replies []*jsonschema.Schema
}

// document is the part of an AsyncAPI document that is looked at here.
type document struct {
	Operations map[string]struct {
		Action   string
		Messages []reference
		Reply    struct{ Messages []reference }
	}
	Channels map[string]struct {
		Messages map[string]reference
	}
	Components struct {
		Messages map[string]struct {
			Payload struct {
				Properties struct {
					Event struct{ Const string }
				}
			}
		}
	}
}

type reference struct {
	Ref string `json:"$ref"`
}

const (
	home     = "memory:document"
	channel  = "#/channels/socket/messages/"
	messages = "#/components/messages/"
	failed   = "ack.failed" // among them
)

// Load reads a document. It fails when the document is not what the AsyncAPI specification asks for, or refers to what
// is not there.
func Load(text []byte) (*Checker, error) {
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("read the AsyncAPI document: %w", err)
	}
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read the AsyncAPI document: %w", err)
	}
	if err := validate(raw); err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7) // what AsyncAPI's schemas are a superset of
	compiler.AssertFormat()
	if err := compiler.AddResource(home, raw); err != nil {
		return nil, err
	}
	l := loader{d, compiler}
	c := &Checker{received: map[string]operation{}, sent: map[string]*jsonschema.Schema{}}
	for name, op := range d.Operations {
		if err := l.load(c, op.Action, op.Messages, op.Reply.Messages); err != nil {
			return nil, fmt.Errorf("operation %s: %w", name, err)
		}
	}
	_, c.failed, err = l.message(channel + failed)
	return c, err
}

// version is the one that is written here.
const version = "3.0.0"

// specification is AsyncAPI's own schema.
var specification = sync.OnceValues(func() (*jsonschema.Schema, error) {
	text, err := specs.Get(version)
	if err != nil || text == nil {
		return nil, errors.Join(errors.New("there is no schema of AsyncAPI "+version), err)
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("memory:asyncapi", schema); err != nil {
		return nil, err
	}
	return compiler.Compile("memory:asyncapi")
})

func validate(raw any) error {
	s, err := specification()
	if err != nil {
		return err
	}
	if err := s.Validate(raw); err != nil {
		return fmt.Errorf("the document is not valid AsyncAPI %s: %w", version, err)
	}
	return nil
}

type loader struct {
	document document
	compiler *jsonschema.Compiler
}

func (l loader) load(c *Checker, action string, given, replies []reference) error {
	for _, m := range given {
		event, schema, err := l.message(m.Ref)
		switch {
		case err != nil:
			return err
		case event == "":
			return fmt.Errorf("%s has no event", m.Ref)
		case action == "send":
			c.sent[event] = schema
		default:
			op := operation{message: schema}
			for _, r := range replies {
				_, reply, err := l.message(r.Ref)
				if err != nil {
					return err
				}
				op.replies = append(op.replies, reply)
			}
			c.received[event] = op
		}
	}
	return nil
}

// message follows an operation's reference to its channel, and the channel's to the message.
func (l loader) message(ref string) (event string, schema *jsonschema.Schema, err error) {
	key, ok := strings.CutPrefix(ref, channel)
	if !ok {
		return "", nil, fmt.Errorf("%s is no message of the channel", ref)
	}
	target := l.document.Channels["socket"].Messages[key].Ref
	name, ok := strings.CutPrefix(target, messages)
	message, there := l.document.Components.Messages[name]
	if !ok || !there {
		return "", nil, fmt.Errorf("%s leads to %q, where there is no message", ref, target)
	}
	schema, err = l.compiler.Compile(home + messages + name + "/payload")
	return message.Payload.Properties.Event.Const, schema, err
}

// Sends says whether the server may send an event, Receives whether it understands one.
func (c *Checker) Sends(event string) bool { return c.sent[event] != nil }

// Receives is described at Sends.
func (c *Checker) Receives(event string) bool { return c.received[event].message != nil }

// Conversation is what goes over one connection. It remembers which message an acknowledgement is of, and so is not
// safe for concurrent use by several who send, or several who receive; one of each is fine.
type Conversation struct {
	checker *Checker

	mu    sync.Mutex
	asked map[string]string // a message's id, as it is written, to its event
}

// Conversation begins one.
func (c *Checker) Conversation() *Conversation {
	return &Conversation{checker: c, asked: map[string]string{}}
}

// frame is the envelope of anything that is sent.
type frame struct {
	Event string          `json:"event"`
	ID    json.RawMessage `json:"id"`
	Ack   json.RawMessage `json:"ack"`
}

// Sent says what is wrong with a frame that the client sends. What is wrong on purpose need not be shown to it.
func (c *Conversation) Sent(text []byte) error {
	var f frame
	if err := json.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("the client sent no frame: %w: %s", err, text)
	}
	op, ok := c.checker.received[f.Event]
	if !ok {
		return fmt.Errorf("the client sent what is not described: %s", text)
	}
	c.Asked(text)
	return matches(op.message, text)
}

// Asked takes note of a message whose acknowledgement will come, whatever is wrong with it.
func (c *Conversation) Asked(text []byte) {
	var f frame
	if json.Unmarshal(text, &f) == nil && f.ID != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked[string(f.ID)] = f.Event
	}
}

// Received says what is wrong with what the server sent: a text message of one frame or more, one a line.
func (c *Conversation) Received(text []byte) error {
	var errs []error
	for line := range bytes.Lines(text) {
		errs = append(errs, c.receivedOne(bytes.TrimSuffix(line, []byte("\n"))))
	}
	return errors.Join(errs...)
}

func (c *Conversation) receivedOne(text []byte) error {
	var f frame
	if err := json.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("the server sent no frame: %w: %s", err, text)
	}
	if f.Ack == nil {
		schema, ok := c.checker.sent[f.Event]
		if !ok {
			return fmt.Errorf("the server sent what is not described: %s", text)
		}
		return matches(schema, text)
	}
	c.mu.Lock()
	event, ok := c.asked[string(f.Ack)]
	delete(c.asked, string(f.Ack))
	c.mu.Unlock()
	if !ok {
		return fmt.Errorf("the server acknowledged what nobody asked: %s", text)
	}
	replies := c.checker.received[event].replies
	if len(replies) == 0 {
		replies = []*jsonschema.Schema{c.checker.failed}
	}
	var errs []error
	for _, reply := range replies {
		err := matches(reply, text)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("no acknowledgement of %s: %w", event, errors.Join(errs...))
}

func matches(schema *jsonschema.Schema, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return nil
}
