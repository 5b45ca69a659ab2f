package domain

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Upcast makes the event of one version into that of the next, when it is read. [From] makes one.
type Upcast struct {
	version  int // that it takes
	from, to reflect.Type
	decode   func(data []byte) (any, error) // into a from
	change   func(any) any                  // nil: none was given
}

// From is the upcast of what lies in the log as version to the version after it. Old has the JSON shape of that version,
// New that of the next. The upcasts of a type form a chain: the first takes version 1, each takes the type that the one
// before it makes, and the last makes the registered type itself. A struct that is part of the chain is never changed
// again, except the last.
//
// change must be a pure function: the same event must mean the same in a command, in a projection and in an audit.
func From[Old, New any](version int, change func(Old) New) Upcast {
	u := Upcast{
		version: version, from: reflect.TypeFor[Old](), to: reflect.TypeFor[New](),
		decode: func(data []byte) (any, error) { return unmarshal[Old](data) },
	}
	if change != nil {
		u.change = func(old any) any { return change(old.(Old)) } // Register has checked the chain
	}
	return u
}

// StoredTypes lists the names under which a type of event may lie in the log, the oldest version first. It is nil for a
// name that is not registered.
func StoredTypes(name string) []string {
	registryMu.RLock()
	defer registryMu.RUnlock()
	if r, ok := registry[name]; ok {
		return slices.Clone(r.stored)
	}
	return nil
}

// TypeName is the name of the type of event that lies in the log under a stored name. One that this program does not know
// is given back as it is.
func TypeName(stored string) string {
	registryMu.RLock()
	defer registryMu.RUnlock()
	if s, ok := shapes[stored]; ok {
		return s.of.Name
	}
	return stored
}

// storedName is the name alone for version 1, which is how events lay in the log before there were versions. From 2 on it
// carries the version: a program that does not know the version does not know the type either, and stops rather than
// misreads.
func storedName(name string, version int) string {
	if version == 1 {
		return name
	}
	return name + ".v" + strconv.Itoa(version)
}

// splitStored is the inverse of storedName.
func splitStored(stored string) (name string, version int) {
	i := strings.LastIndex(stored, ".v")
	if i < 0 {
		return stored, 1
	}
	n, err := strconv.Atoi(stored[i+2:])
	if err != nil || n < 2 || storedName(stored[:i], n) != stored {
		return stored, 1
	}
	return stored[:i], n
}

// checkUpcasts says what is wrong with the upcasts of a type, "" if nothing is.
func checkUpcasts(goType reflect.Type, version int, upcasts []Upcast) string {
	if len(upcasts) != version-1 {
		return fmt.Sprintf("version %d needs %d upcasts, one from each version before it, and has %d", version, version-1, len(upcasts))
	}
	for i, u := range upcasts {
		next, whose := goType, "the registered type is"
		if i+1 < len(upcasts) {
			next, whose = upcasts[i+1].from, "the next one takes"
		}
		switch {
		case u.version != i+1:
			return fmt.Sprintf("upcast number %d must be from version %d and is from %d", i+1, i+1, u.version)
		case u.change == nil:
			return fmt.Sprintf("the upcast from version %d has no function", u.version)
		case u.from.Kind() != reflect.Struct:
			return fmt.Sprintf("the upcast from version %d takes %v, which is no struct", u.version, u.from)
		case u.from == u.to:
			return fmt.Sprintf("the upcast from version %d takes and makes %v: keep the old shape as a struct of its own", u.version, u.from)
		case u.to != next:
			return fmt.Sprintf("the upcast from version %d makes %v, %s %v", u.version, u.to, whose, next)
		}
	}
	return ""
}

func unmarshal[T any](data []byte) (T, error) {
	var v T
	err := json.Unmarshal(data, &v)
	return v, err
}
