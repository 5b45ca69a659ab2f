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

// ErrUnknownEventType is wrapped by Encode and Decode when a type or its version is not
// registered: the aggregate's package is not imported, or a newer program wrote the event.
var ErrUnknownEventType = errors.New("unknown event type")

// EventType describes a registered type.
type EventType struct {
	Name    string
	Version int // of the shape of its data that this program writes, from 1
}

type registration struct {
	EventType
	goType reflect.Type
	stored []string // by version, from 1; the last is what Encode writes
}

// shape is what lies in the log under one stored name.
type shape struct {
	of     *registration
	decode func(data []byte) (Event, error)
}

var (
	registryMu sync.RWMutex
	registry   = map[string]*registration{} // by name
	shapes     = map[string]shape{}         // by stored name
)

// Register makes an event type known. It is called from the init function of the
// package that declares the type, with the version of the shape of its data and the
// upcasts from all versions before it, version 1 first. A new version is needed when
// today's struct would misread what lies in the log: a field's name, type, unit or
// meaning changes. A field that may be absent can be added without one.
//
// Register panics when the event is no struct, when its name is taken, empty or ends
// like a version (".v2"), when the version is below 1, and when the upcasts are not one
// from each older version that fit together (see [From]): those are mistakes in the
// program, found the first time it starts.
func Register[E Event](version int, upcasts ...Upcast) {
	var zero E
	goType := reflect.TypeFor[E]()
	if goType.Kind() != reflect.Struct {
		panic(fmt.Sprintf("domain: event %v must be a struct", goType))
	}
	name := zero.EventType()
	if name == "" || version < 1 {
		panic(fmt.Sprintf("domain: event %v needs a name and a version from 1", goType))
	}
	if base, _ := splitStored(name); base != name {
		panic(fmt.Sprintf("domain: event type %q ends like a version: register %q with that version", name, base))
	}
	if wrong := checkUpcasts(goType, version, upcasts); wrong != "" {
		panic(fmt.Sprintf("domain: event type %q: %s", name, wrong))
	}
	registryMu.Lock()
	defer registryMu.Unlock()
	if old, taken := registry[name]; taken {
		panic(fmt.Sprintf("domain: event type %q is declared by %v and %v", name, old.goType, goType))
	}
	r := &registration{EventType: EventType{Name: name, Version: version}, goType: goType}
	for v := range version {
		stored := storedName(name, v+1)
		r.stored = append(r.stored, stored)
		shapes[stored] = shape{of: r, decode: decoder[E](upcasts[v:])}
	}
	registry[name] = r
}

// decoder decodes what the first of upcasts takes, or E itself where there is none.
func decoder[E Event](upcasts []Upcast) func([]byte) (Event, error) {
	if len(upcasts) == 0 {
		return func(data []byte) (Event, error) {
			var e E
			if err := json.Unmarshal(data, &e); err != nil {
				return nil, err
			}
			return e, nil
		}
	}
	return func(data []byte) (Event, error) {
		value, err := upcasts[0].decode(data)
		if err != nil {
			return nil, err
		}
		for _, u := range upcasts {
			value = u.change(value)
		}
		return value.(E), nil // Register has checked the chain
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

// Encode returns the name under which an event is stored, which says its type and the
// current version, and its data as JSON.
func Encode(e Event) (stored string, data []byte, err error) {
	if e == nil {
		return "", nil, errors.New("encode event: nil event")
	}
	typ := e.EventType()
	registryMu.RLock()
	r, ok := registry[typ]
	registryMu.RUnlock()
	if !ok || r.goType != reflect.TypeOf(e) {
		return "", nil, fmt.Errorf("encode event %T %q: %w", e, typ, ErrUnknownEventType)
	}
	data, err = json.Marshal(e)
	if err != nil {
		return "", nil, fmt.Errorf("encode event %q: %w", typ, err)
	}
	return r.stored[len(r.stored)-1], data, nil
}

// Decode returns the event that Encode was given, by this program or by an older one:
// what lies in the log as an older version comes out as the current one. Fields it does
// not know are ignored, so a program can read what a newer one added to a version it
// knows; a type or a version that it does not know is ErrUnknownEventType.
func Decode(stored string, data []byte) (Event, error) {
	registryMu.RLock()
	s, ok := shapes[stored]
	registryMu.RUnlock()
	if !ok {
		return nil, unknown(stored)
	}
	e, err := s.decode(data)
	if err != nil {
		return nil, fmt.Errorf("decode event %q: %w", stored, err)
	}
	return e, nil
}

func unknown(stored string) error {
	name, _ := splitStored(stored)
	registryMu.RLock()
	defer registryMu.RUnlock()
	if r, ok := registry[name]; ok { // of a version between 1 and ours it would not be unknown
		return fmt.Errorf("decode event %q: %w: a newer program wrote it, and this one knows %s up to version %d; update this program",
			stored, ErrUnknownEventType, name, r.Version)
	}
	return fmt.Errorf("decode event %q: %w", stored, ErrUnknownEventType)
}
