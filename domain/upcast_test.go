package domain_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
)

// mealCooked is an event of this test that was changed twice: its price was in whole euros, then in cents, and now says
// its currency.
type mealCooked struct {
	Name     string `json:"name"`
	Price    int64  `json:"price"`
	Currency string `json:"currency"`
	Spicy    *bool  `json:"spicy,omitempty"`
}

type mealCookedV1 struct {
	Dish  string `json:"dish"`
	Euros int64  `json:"euros"`
}

type mealCookedV2 struct {
	Name  string `json:"name"`
	Price int64  `json:"price"`
	Spicy *bool  `json:"spicy,omitempty"`
}

func (mealCooked) EventType() string { return "test.meal_cooked" }

func mealFromV1(old mealCookedV1) mealCookedV2 {
	return mealCookedV2{Name: old.Dish, Price: old.Euros * 100}
}

func mealFromV2(old mealCookedV2) mealCooked {
	return mealCooked{Name: old.Name, Price: old.Price, Currency: "EUR", Spicy: old.Spicy}
}

func init() {
	domain.Register[mealCooked](3, domain.From(1, mealFromV1), domain.From(2, mealFromV2))
}

func TestEachVersionIsReadAsTheCurrentOne(t *testing.T) {
	t.Parallel()
	want := mealCooked{Name: "Dosa", Price: 400, Currency: "EUR"}
	for stored, data := range map[string]string{
		"test.meal_cooked":    `{"dish":"Dosa","euros":4}`,
		"test.meal_cooked.v2": `{"name":"Dosa","price":400}`,
		"test.meal_cooked.v3": `{"name":"Dosa","price":400,"currency":"EUR"}`,
	} {
		if got, err := domain.Decode(stored, []byte(data)); err != nil || got != want {
			t.Errorf("%s %s is read as %#v, %v; want %#v", stored, data, got, err, want)
		}
		if _, err := domain.Decode(stored, []byte(`{"price":"free","euros":"none"}`)); err == nil || errors.Is(err, domain.ErrUnknownEventType) || !strings.Contains(err.Error(), stored) {
			t.Errorf("%s of another shape: error %v", stored, err)
		}
	}
}

func TestTheCurrentVersionIsWritten(t *testing.T) {
	t.Parallel()
	e := mealCooked{Name: "Dosa", Price: 450, Currency: "INR", Spicy: new(true)}
	stored, data, err := domain.Encode(e)
	if want := `{"name":"Dosa","price":450,"currency":"INR","spicy":true}`; err != nil || stored != "test.meal_cooked.v3" || string(data) != want {
		t.Errorf("written as %s %s, %v; want test.meal_cooked.v3 %s", stored, data, err, want)
	}
	if back, err := domain.Decode(stored, data); err != nil || !reflect.DeepEqual(back, e) {
		t.Errorf("read back as %#v, %v", back, err)
	}
	if stored, _, err := domain.Encode(business.Opened{}); err != nil || stored != "business.opened" {
		t.Errorf("version 1 is written as %s, %v; want the name alone", stored, err)
	}
}

func TestStoredNames(t *testing.T) {
	t.Parallel()
	versions := []string{"test.meal_cooked", "test.meal_cooked.v2", "test.meal_cooked.v3"}
	for name, want := range map[string][]string{
		"test.meal_cooked": versions, "business.opened": {"business.opened"},
		"test.meal_cooked.v2": nil, "test.nothing": nil, "": nil,
	} {
		got := domain.StoredTypes(name)
		if !slices.Equal(got, want) {
			t.Errorf("StoredTypes(%q) = %q; want %q", name, got, want)
		}
		for i := range got {
			got[i] = "changed by the caller"
		}
	}
	for _, stored := range versions {
		if name := domain.TypeName(stored); name != "test.meal_cooked" {
			t.Errorf("TypeName(%q) = %q", stored, name)
		}
	}
	for _, unknown := range []string{"test.meal_cooked.v1", "test.meal_cooked.v4", "test.meal_cooked.v02", "test.nothing.v2", "v2", ""} {
		if name := domain.TypeName(unknown); name != unknown {
			t.Errorf("TypeName(%q) = %q; want it as it is", unknown, name)
		}
	}
}

func TestAVersionOfANewerProgramIsUnknownAndSaysSo(t *testing.T) {
	t.Parallel()
	for stored, newer := range map[string]bool{
		"test.meal_cooked.v4": true, "business.opened.v2": true, "business.opened.v1000": true,
		"business.opened.v1": false, "business.opened.v02": false, "business.opened.v+2": false, "business.opened.v": false,
		"business.opened.v2.v2": false, "test.nothing.v2": false, "business.opened.v99999999999999999999": false,
	} {
		_, err := domain.Decode(stored, []byte(`{}`))
		if !errors.Is(err, domain.ErrUnknownEventType) || !strings.Contains(err.Error(), stored) {
			t.Errorf("%s: error %v; want ErrUnknownEventType and the name", stored, err)
			continue
		}
		if got := strings.Contains(err.Error(), "a newer program wrote it"); got != newer {
			t.Errorf("%s: %v", stored, err)
		}
	}
}

type versioned struct{}

func (versioned) EventType() string { return "test.versioned.v2" }

type nameless struct{}

func (nameless) EventType() string { return "" }

type pointed struct{}

func (*pointed) EventType() string { return "test.pointed" }

type odd struct{ A int }

func (odd) EventType() string { return "test.odd" }

func TestAWrongRegistrationPanicsAndSaysWhy(t *testing.T) {
	t.Parallel()
	type v1 struct{ A int }
	type v2 struct{ B int }
	var (
		first  = domain.From(1, func(v1) v2 { return v2{} })
		second = domain.From(2, func(v2) odd { return odd{} })
		direct = domain.From(1, func(v1) odd { return odd{} })
	)
	for name, c := range map[string]struct {
		register func()
		want     string
	}{
		"taken":                   {func() { domain.Register[mealCooked](3, domain.From(1, mealFromV1), domain.From(2, mealFromV2)) }, `"test.meal_cooked" is declared by`},
		"another's name":          {func() { domain.Register[impostor](1) }, `"order.placed" is declared by order.Placed and domain_test.impostor`},
		"a pointer":               {func() { domain.Register[*pointed](1) }, "must be a struct"},
		"no name":                 {func() { domain.Register[nameless](1) }, "needs a name"},
		"a name with a version":   {func() { domain.Register[versioned](1) }, `ends like a version: register "test.versioned"`},
		"no version":              {func() { domain.Register[odd](0) }, "a version from 1"},
		"no upcast":               {func() { domain.Register[odd](2) }, "version 2 needs 1 upcasts, one from each version before it, and has 0"},
		"too few upcasts":         {func() { domain.Register[odd](3, second) }, "version 3 needs 2 upcasts"},
		"too many upcasts":        {func() { domain.Register[odd](1, direct) }, "version 1 needs 0 upcasts"},
		"the wrong way round":     {func() { domain.Register[odd](3, second, first) }, "upcast number 1 must be from version 1 and is from 2"},
		"the wrong version":       {func() { domain.Register[odd](2, domain.From(2, func(v1) odd { return odd{} })) }, "must be from version 1 and is from 2"},
		"a gap in the chain":      {func() { domain.Register[odd](3, direct, second) }, "from version 1 makes domain_test.odd, the next one takes domain_test.v2"},
		"an end that is no event": {func() { domain.Register[odd](2, first) }, "from version 1 makes domain_test.v2, the registered type is domain_test.odd"},
		"the old shape not kept":  {func() { domain.Register[odd](2, domain.From(1, func(o odd) odd { return o })) }, "keep the old shape as a struct of its own"},
		"no struct":               {func() { domain.Register[odd](2, domain.From(1, func(any) odd { return odd{} })) }, "which is no struct"},
		"no function":             {func() { domain.Register[odd](2, domain.From[v1, odd](1, nil)) }, "has no function"},
		"an upcast of nothing":    {func() { domain.Register[odd](2, domain.Upcast{}) }, "must be from version 1 and is from 0"},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "domain: ") || !strings.Contains(got, c.want) {
					t.Errorf("%s: panics with %q; want %q", name, got, c.want)
				}
			}()
			c.register()
		}()
	}
	if stored := domain.StoredTypes("test.odd"); stored != nil {
		t.Errorf("after what was refused, test.odd is stored as %q", stored)
	}
	if _, err := domain.Decode("test.odd", []byte(`{}`)); !errors.Is(err, domain.ErrUnknownEventType) {
		t.Errorf("after what was refused, test.odd is read: %v", err)
	}
}

// The time at which the log is derived anew is that of decoding it: versions must cost nothing where there are none.
func TestReadingTheCurrentVersionAllocatesNoMoreThanItsJSON(t *testing.T) { //nolint:paralleltest // allocations are counted for the whole process
	data := []byte(`{"businessName":"Orderlog","message":"open"}`)
	var sink domain.Event
	plain := testing.AllocsPerRun(100, func() {
		var e business.Opened
		if err := json.Unmarshal(data, &e); err != nil {
			t.Fatal(err)
		}
		sink = e
	})
	decoded := testing.AllocsPerRun(100, func() {
		var err error
		if sink, err = domain.Decode("business.opened", data); err != nil {
			t.Fatal(err)
		}
	})
	if decoded > plain {
		t.Errorf("Decode allocates %v times, its JSON %v; %v", decoded, plain, sink)
	}
}

// What the check of the golden files is for, each on files with that one mistake.
func TestTheCheckOfTheGoldensFindsEachMistake(t *testing.T) {
	t.Parallel()
	const (
		v1    = `{"type":"test.meal_cooked","data":{"dish":"Dosa","euros":4},"event":{"name":"Dosa","price":400,"currency":"EUR","spicy":null}}`
		v2    = `{"type":"test.meal_cooked.v2","data":{"name":"Dosa","price":450},"event":{"name":"Dosa","price":450,"currency":"EUR","spicy":null}}`
		v3    = `{"type":"test.meal_cooked.v3","data":{"name":"Dosa","price":450,"currency":"INR","spicy":true},"event":{"name":"Dosa","price":450,"currency":"INR","spicy":true}}`
		older = `{"type":"test.meal_cooked.v3","older":"before spicy","data":{"price":450,"currency":"INR","name":"Dosa","hot":1},"event":{"name":"Dosa","price":450,"currency":"INR","spicy":null}}`
	)
	change := func(text, old, changed string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%s has no %s", text, old)
		}
		return strings.Replace(text, old, changed, 1)
	}
	for name, c := range map[string]struct {
		file, text string // what differs from good files; no text: the file is not there
		want       string // "": nothing is wrong
	}{
		"none":                          {"test.meal_cooked.v3.json", v3, ""},
		"an older shape":                {"test.meal_cooked.v3-before-spicy.json", older, ""},
		"no current golden":             {"test.meal_cooked.v3.json", "", "-update, which writes the files that are missing and never changes one that is there"},
		"no golden of an older version": {"test.meal_cooked.v1.json", "", "bring the file back"},
		"a type that is gone":           {"test.gone.v1.json", `{"type":"test.gone","data":{},"event":{}}`, `no program knows the type "test.gone" any more`},
		"a version that is gone":        {"test.meal_cooked.v4.json", change(v3, "cooked.v3", "cooked.v4"), `no program knows the type "test.meal_cooked.v4" any more`},
		"another file's name":           {"test.meal_cooked.v2-x.json", v3, "its name is test.meal_cooked.v3.json"},
		"data that cannot be read":      {"test.meal_cooked.v1-x.json", change(v1, "4}", `"4"}`), "decode event"},
		"another meaning":               {"test.meal_cooked.v1.json", change(v1, "400", "4"), "it is read as"},
		"a field that is not shown":     {"test.meal_cooked.v2.json", change(v2, `,"spicy":null`, ""), "it is read as"},
		"a field that is not written":   {"test.meal_cooked.v3.json", change(v3, `"data":{`, `"data":{"salt":1,`), "this program writes"},
		"a renamed field":               {"test.meal_cooked.v3-x.json", change(v3, `"spicy":true`, `"hot":true`), "this program writes"},
		"a zero that is left out":       {"test.meal_cooked.v3-x.json", change(change(v3, `"price":450,`, ""), `"price":450`, `"price":0`), "this program writes"},
		"older without a reason":        {"test.meal_cooked.v3-x.json", change(v3, `"data"`, `"older":"before spicy","data"`), "take the mark away"},
		"only an older shape":           {"test.meal_cooked.v3.json", older, "run the test with -update for what is written today"},
		"a field that is never set": {
			"test.meal_cooked.v3.json", change(change(v3, `,"spicy":true`, ""), `"spicy":true`, `"spicy":null`), "no golden of version 3 gives spicy a value",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"test.meal_cooked.v1.json": v1, "test.meal_cooked.v2.json": v2, "test.meal_cooked.v3.json": v3}
			files[c.file] = c.text
			dir := fstest.MapFS{}
			for file, text := range files {
				if text != "" {
					dir[file] = &fstest.MapFile{Data: []byte(text)}
				}
			}
			goldens, err := readGoldens(dir)
			if err != nil {
				t.Fatal(err)
			}
			wrong := strings.Join(checkGoldens([]domain.EventType{{Name: "test.meal_cooked", Version: 3}}, goldens), "\n")
			if (wrong == "") != (c.want == "") || !strings.Contains(wrong, c.want) {
				t.Errorf("found %q; want %q", wrong, c.want)
			}
		})
	}
}
