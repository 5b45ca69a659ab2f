package domain_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// golden is one shape in which an event lies in the log.
type golden struct {
	file string
	// Type is the name it is stored under.
	Type string `json:"type"`
	// Older says, of a shape of the current version that this program writes otherwise, until when it was written.
	Older string `json:"older,omitempty"`
	// Data is as the program that wrote it wrote it.
	Data json.RawMessage `json:"data"`
	// Event is what this program must read, with each field it has.
	Event json.RawMessage `json:"event"`
}

// readGoldens reads all golden files of a directory.
func readGoldens(dir fs.FS) ([]golden, error) {
	files, err := fs.Glob(dir, "*")
	if err != nil {
		return nil, err
	}
	var all []golden
	for _, file := range files {
		text, err := fs.ReadFile(dir, file)
		if err != nil {
			return nil, err
		}
		g := golden{file: file}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&g); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, g)
	}
	return all, nil
}

// goldenOf is the golden of an event as this program writes it.
func goldenOf(e domain.Event) (golden, error) {
	stored, data, err := domain.Encode(e)
	if err != nil {
		return golden{}, err
	}
	return golden{Type: stored, Data: data, Event: show(reflect.ValueOf(e))}, nil
}

func (g golden) text() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(g)
	return b.Bytes(), err
}

// goldenName is the name, without .json, of the file that shows a version of an event type.
func goldenName(typ string, version int) string { return fmt.Sprintf("%s.v%d", typ, version) }

// fields lists the fields of an event by path, and whether each has a value other than zero.
func fields(v reflect.Value, at string, into map[string]bool) {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case opaque(v) || v.Kind() != reflect.Struct && v.Kind() != reflect.Slice || v.Kind() == reflect.Slice && v.Len() == 0:
		into[at] = into[at] || !v.IsZero()
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			fields(v.Index(i), at+"[]", into)
		}
	default:
		eachField(v, func(name string, field reflect.Value) { fields(field, path.Join(at, name), into) })
	}
}

// show is an event's JSON with every field in it, whatever its tags omit.
func show(v reflect.Value) json.RawMessage {
	var parts []string
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		return show(v.Elem())
	case v.Kind() == reflect.Slice && !v.IsNil():
		for i := range v.Len() {
			parts = append(parts, string(show(v.Index(i))))
		}
		return json.RawMessage("[" + strings.Join(parts, ",") + "]")
	case v.Kind() == reflect.Struct && !opaque(v):
		eachField(v, func(name string, field reflect.Value) {
			parts = append(parts, string(must(json.Marshal(name)))+":"+string(show(field)))
		})
		return json.RawMessage("{" + strings.Join(parts, ",") + "}")
	}
	return must(json.Marshal(v.Interface()))
}

// fill gives each field of an event a value of its own.
func fill(v reflect.Value, name string, count *int) {
	*count++
	switch {
	case v.Type() == reflect.TypeFor[uuid.UUID]():
		v.Set(reflect.ValueOf(uuid.MustParse(fmt.Sprintf("0190b5a0-0000-7000-8000-%012x", *count))))
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2026, 1, *count, 0, 0, 0, 0, time.UTC)))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name, count)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name, count)
	case v.Kind() == reflect.Struct:
		eachField(v, func(name string, field reflect.Value) { fill(field, name, count) })
	case v.Kind() == reflect.String:
		v.SetString(name)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(int64(*count))
	case v.CanFloat():
		v.SetFloat(float64(*count) + 0.5)
	default:
		panic(fmt.Sprintf("no value for %s, a %v: teach fill one", name, v.Type()))
	}
}

// eachField goes through the members that a struct has as JSON.
func eachField(v reflect.Value, each func(name string, field reflect.Value)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported():
		case field.Anonymous && name == "" && field.Type.Kind() == reflect.Struct:
			eachField(v.Field(i), each)
		case name == "":
			each(field.Name, v.Field(i))
		default:
			each(name, v.Field(i))
		}
	}
}

// opaque is what makes its own JSON.
func opaque(v reflect.Value) bool {
	_, isText := v.Interface().(encoding.TextMarshaler)
	_, isJSON := v.Interface().(json.Marshaler)
	return isText || isJSON
}

// jsonb is JSON as PostgreSQL gives it back: of each object the shorter names come first. backwards turns that round.
func jsonb(data []byte, backwards bool) []byte {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return data
	}
	var b bytes.Buffer
	reorder(&b, value, backwards)
	return b.Bytes()
}

func reorder(b *bytes.Buffer, value any, backwards bool) {
	switch value := value.(type) {
	case map[string]any:
		names := make([]string, 0, len(value))
		for name := range value {
			names = append(names, name)
		}
		slices.SortFunc(names, func(x, y string) int {
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			return strings.Compare(x, y)
		})
		if backwards {
			slices.Reverse(names)
		}
		b.WriteByte('{')
		for i, name := range names {
			if i > 0 {
				b.WriteString(", ")
			}
			b.Write(must(json.Marshal(name)))
			b.WriteString(": ")
			reorder(b, value[name], backwards)
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, element := range value {
			if i > 0 {
				b.WriteString(", ")
			}
			reorder(b, element, backwards)
		}
		b.WriteByte(']')
	default:
		b.Write(must(json.Marshal(value)))
	}
}

// must is for what cannot fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
