package asyncapi

import (
	"path"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlog/orderlog/internal/apischema"
)

// types gives Go types their JSON schemas, as the REST side's are made.
type types struct {
	registry huma.Registry
	named    map[string]reflect.Type
}

func newTypes() *types {
	t := &types{named: map[string]reflect.Type{}}
	t.registry = huma.NewMapRegistry(apischema.Prefix, t.name)
	return t
}

// name is the type's own, with its package's before it when another type has the name already.
func (t *types) name(of reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(of, hint)
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return name
	}
	if other, taken := t.named[name]; taken && other != of {
		name = strings.ToUpper(path.Base(of.PkgPath())[:1]) + path.Base(of.PkgPath())[1:] + name
	}
	t.named[name] = of
	return name
}

// of is the schema of a type; of a struct, a reference to it.
func (t *types) of(typ reflect.Type) *huma.Schema { return t.registry.Schema(typ, true, "") }

// open is of, for a struct to which others may add members.
func (t *types) open(typ reflect.Type) *huma.Schema {
	s := t.of(typ)
	if named := t.registry.SchemaFromRef(s.Ref); named != nil {
		named.AdditionalProperties = true
	}
	return s
}

// requires says whether a struct has members that must be there.
func (t *types) requires(typ reflect.Type) bool {
	named := t.registry.SchemaFromRef(t.of(typ).Ref)
	return named != nil && len(named.Required) > 0
}

// schemas are those of all the structs that were named.
func (t *types) schemas() map[string]*huma.Schema {
	apischema.Narrow(t.registry)
	return t.registry.Map()
}
