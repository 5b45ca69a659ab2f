package domain

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Event is a fact of one aggregate. It has no envelope: sequence, version, time and
// author belong to the log. Events are values, never pointers.
type Event interface {
	// EventType is the stable name in the log, such as "order.placed".
	// It must not depend on the event's fields.
	EventType() string
}

// ErrUnknownEventType is wrapped by Encode and Decode when a type is not registered:
// the aggregate's package is not imported, or a newer program wrote the event.
var ErrUnknownEventType = errors.New("unknown event type")

// EventType describes a registered type.
type EventType struct {
	Name    string
	Version int // of the shape of its data, from 1
}

type registration struct {
	EventType
	goType reflect.Type
	decode func([]byte) (Event, error)
}

var (
	registryMu sync.RWMutex
	registry   = map[string]registration{}
)

// Register makes an event type known. It is called from the init function of the
// package that declares the type, with the version of the shape of its data. It panics
// on a type name that is taken or empty and on a version below 1: those are mistakes in
// the program, found the first time it starts.
func Register[E Event](version int) {
	var zero E
	goType := reflect.TypeFor[E]()
	if goType.Kind() != reflect.Struct {
		panic(fmt.Sprintf("domain: event %v must be a struct", goType))
	}
	name := zero.EventType()
	if name == "" || version < 1 {
		panic(fmt.Sprintf("domain: event %v needs a name and a version from 1", goType))
	}
	registryMu.Lock()
	defer registryMu.Unlock()
	if old, taken := registry[name]; taken {
		panic(fmt.Sprintf("domain: event type %q is declared by %v and %v", name, old.goType, goType))
	}
	registry[name] = registration{
		EventType: EventType{Name: name, Version: version},
		goType:    goType,
		decode: func(data []byte) (Event, error) {
			var e E
			if err := json.Unmarshal(data, &e); err != nil {
				return nil, err
			}
			return e, nil
		},
	}
}

// EventTypes lists the registered types, sorted by name.
func EventTypes() []EventType {
	registryMu.RLock()
	defer registryMu.RUnlock()
	types := make([]EventType, 0, len(registry))
	for _, r := range registry {
		types = append(types, r.EventType)
	}
	slices.SortFunc(types, func(a, b EventType) int { return strings.Compare(a.Name, b.Name) })
	return types
}

// Encode returns an event's type name and its data as JSON.
func Encode(e Event) (typ string, data []byte, err error) {
	if e == nil {
		return "", nil, errors.New("encode event: nil event")
	}
	typ = e.EventType()
	r, ok := lookup(typ)
	if !ok || r.goType != reflect.TypeOf(e) {
		return "", nil, fmt.Errorf("encode event %T %q: %w", e, typ, ErrUnknownEventType)
	}
	data, err = json.Marshal(e)
	if err != nil {
		return "", nil, fmt.Errorf("encode event %q: %w", typ, err)
	}
	return typ, data, nil
}

// Decode returns the event that Encode was given. Fields it does not know are ignored,
// so a program can read what a newer one added to a type it knows; a type it does not
// know is ErrUnknownEventType.
func Decode(typ string, data []byte) (Event, error) {
	r, ok := lookup(typ)
	if !ok {
		return nil, fmt.Errorf("decode event %q: %w", typ, ErrUnknownEventType)
	}
	e, err := r.decode(data)
	if err != nil {
		return nil, fmt.Errorf("decode event %q: %w", typ, err)
	}
	return e, nil
}

func lookup(typ string) (registration, bool) {
	registryMu.RLock()
	defer registryMu.RUnlock()
	r, ok := registry[typ]
	return r, ok
}
