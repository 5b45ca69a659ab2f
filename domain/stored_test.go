package domain_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain"
)

var update = flag.Bool("update", false, "write the golden files of event types and versions that have none; those that are there are never changed")

const goldenDir = "testdata/events"

// How events lie in the log, a file for each shape. The log is never rewritten: type and data of a golden never change,
// and no golden goes away. A new version of an event type gets a file of its own (-update writes it), and the event in
// those of the older versions becomes what the upcasts make of them. A field that is added without a new version makes
// today's files older ones: they are renamed to NAME.vN-before-WHAT.json and say so, and get the field with what its
// absence means.
func TestTheLogIsReadAsItAlwaysWas(t *testing.T) {
	t.Parallel()
	types := slices.DeleteFunc(domain.EventTypes(), func(e domain.EventType) bool { return strings.HasPrefix(e.Name, "test.") })
	if *update {
		for _, typ := range types {
			if err := writeGolden(typ); err != nil {
				t.Fatal(err)
			}
		}
	}
	goldens, err := readGoldens(os.DirFS(goldenDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range checkGoldens(types, goldens) {
		t.Error(wrong)
	}
}

// writeGolden writes the golden of a type's current version if there is none.
func writeGolden(typ domain.EventType) error {
	stored := domain.StoredTypes(typ.Name)
	zero, err := domain.Decode(stored[len(stored)-1], []byte(`{}`))
	if err != nil {
		return err
	}
	filled := reflect.New(reflect.TypeOf(zero)).Elem()
	fill(filled, "", new(int))
	g, err := goldenOf(filled.Interface().(domain.Event))
	if err != nil {
		return err
	}
	text, err := g.text()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(goldenDir, goldenName(typ.Name, typ.Version)+".json"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if os.IsExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// checkGoldens says what is wrong with the goldens of some event types.
func checkGoldens(types []domain.EventType, goldens []golden) []string {
	var wrong []string
	there := make(map[string]bool)
	set := make(map[string]map[string]bool) // by stored type: the fields that some golden has a value for
	for _, g := range goldens {
		there[strings.TrimSuffix(g.file, ".json")] = true
		e, problems := g.check()
		for _, p := range problems {
			wrong = append(wrong, fmt.Sprintf("%s: %s", g.file, p))
		}
		if e != nil && g.Older == "" {
			if set[g.Type] == nil {
				set[g.Type] = make(map[string]bool)
			}
			fields(reflect.ValueOf(e), "", set[g.Type])
		}
	}
	for _, typ := range types {
		for v := 1; v <= typ.Version; v++ {
			switch name := goldenName(typ.Name, v); {
			case there[name]:
			case v == typ.Version:
				wrong = append(wrong, fmt.Sprintf("%s.json: version %d of %s has no golden: run go test ./domain -run TestTheLogIsReadAsItAlwaysWas -update, "+
					"which writes the files that are missing and never changes one that is there; then give it values as they occur", name, v, typ.Name))
			default:
				wrong = append(wrong, fmt.Sprintf("%s.json: version %d of %s has no golden, and this program does not write that version any more: "+
					"bring the file back from the repository's history", name, v, typ.Name))
			}
		}
		stored := domain.StoredTypes(typ.Name)
		for field, isSet := range set[stored[len(stored)-1]] {
			if !isSet {
				wrong = append(wrong, fmt.Sprintf("%s: no golden of version %d gives %s a value, so it could be renamed and nobody would notice: "+
					"add one, %s-WHAT.json", typ.Name, typ.Version, field, goldenName(typ.Name, typ.Version)))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// check reads a golden as the log is read, and says what is wrong. The event is nil if it could not be read.
func (g golden) check() (e domain.Event, wrong []string) {
	problem := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	stored := domain.StoredTypes(domain.TypeName(g.Type))
	version := slices.Index(stored, g.Type) + 1
	if version == 0 {
		problem("no program knows the type %q any more, and logs have it: register it again", g.Type)
		return nil, wrong
	}
	name, file := goldenName(domain.TypeName(g.Type), version), strings.TrimSuffix(g.file, ".json")
	if file != name && !strings.HasPrefix(file, name+"-") {
		problem("it shows %q, so its name is %s.json or %s-WHAT.json", g.Type, name, name)
	}
	e, err := domain.Decode(g.Type, g.Data)
	if err != nil {
		problem("%v", err)
		return nil, wrong
	}
	for _, backwards := range []bool{false, true} {
		if other, err := domain.Decode(g.Type, jsonb(g.Data, backwards)); err != nil || !reflect.DeepEqual(other, e) {
			problem("with the members of its data in another order it is %+v, %v", other, err)
		}
	}
	if got := show(reflect.ValueOf(e)); !sameJSON(got, g.Event) {
		problem("it is read as\n\t%s\nand its event is\n\t%s\nA field that is new has there what its absence means", got, jsonb(g.Event, false))
	}
	typ, data, err := domain.Encode(e)
	if err != nil {
		problem("%v", err)
		return e, wrong
	}
	if again, err := domain.Decode(typ, data); err != nil || !reflect.DeepEqual(again, e) {
		problem("written anew it becomes %+v, %v", again, err)
	}
	switch same := sameJSON(data, g.Data); {
	case version < len(stored):
	case g.Older == "" && !same:
		problem("this program writes\n\t%s\nand it is\n\t%s\nA field that is renamed, removed or means something else needs a new version, with an upcast: see domain.Register. "+
			"For one that is only added, rename this file to %s-before-WHAT.json, say in it \"older\": \"before WHAT\", add to \"event\" what its absence means, "+
			"and run the test with -update", jsonb(data, false), jsonb(g.Data, false), name)
	case g.Older != "" && same:
		problem("it is marked as older (%s), and this program writes the same: take the mark away", g.Older)
	case g.Older != "" && file == name:
		problem("it shows an older shape: rename it to %s-before-WHAT.json and run the test with -update for what is written today", name)
	}
	return e, wrong
}

func sameJSON(a, b []byte) bool { return bytes.Equal(jsonb(a, false), jsonb(b, false)) }
