package projections_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

// Whatever an event in the log says, whoever is told of it is told an object, through channels of the kinds that the
// catalogue has for it, and who loses a right by it is somebody.
func FuzzWhatAnEventSaysIsToldAsTheCatalogueHasIt(f *testing.F) {
	goldens, err := filepath.Glob("../domain/testdata/events/*.json")
	if err != nil || len(goldens) == 0 {
		f.Fatalf("%d events to begin with, %v", len(goldens), err)
	}
	for _, path := range goldens {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var golden struct {
			Type string
			Data json.RawMessage
		}
		if err := json.Unmarshal(data, &golden); err != nil {
			f.Fatal(err)
		}
		f.Add(golden.Type, []byte(golden.Data))
		f.Add(golden.Type, []byte(`{}`))
		f.Add(golden.Type, []byte(`{"orderId":"0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55","customerId":"a:b","agentId":"\u2028","previousAgentId":"order:1","userId":""}`))
	}
	f.Fuzz(func(t *testing.T, typ string, data []byte) {
		body, err := domain.Decode(typ, data)
		if err != nil {
			return
		}
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		n, told, err := projections.Notify(projections.Event{Recorded: eventstore.Recorded{Seq: 7, Type: typ, Data: data, RecordedAt: at}, Body: body})
		if err != nil {
			t.Fatalf("%s %s: %v", typ, data, err)
		}
		if !told {
			return
		}
		i := slices.IndexFunc(projections.Catalogue(), func(s projections.EventSpec) bool { return s.Name == n.Event })
		if i < 0 || n.Seq != 7 || !n.At.Equal(at) {
			t.Fatalf("%s is told as %+v", typ, n)
		}
		spec := projections.Catalogue()[i]
		payload := reflect.New(spec.Payload)
		if err := json.Unmarshal(n.Data, payload.Interface()); err != nil || n.Data[0] != '{' {
			t.Fatalf("%s is told as %s: %v", typ, n.Data, err)
		}
		if len(n.Channels) == 0 || len(n.Channels) > len(spec.Channels) {
			t.Fatalf("%s is told through %q", typ, n.Channels)
		}
		for _, c := range n.Channels {
			kind, id, _ := strings.Cut(c, ":")
			if !slices.ContainsFunc(spec.Channels, func(s string) bool {
				named, rest, _ := strings.Cut(s, ":")
				return s == c || named == kind && rest == strings.ToUpper(rest) && rest != ""
			}) {
				t.Fatalf("%s is told through %q, and the catalogue has %q", typ, c, spec.Channels)
			}
			if kind == "order" && uuid.Validate(id) != nil {
				t.Fatalf("%s is told through %q", typ, c)
			}
		}
		for _, e := range n.Endings {
			if e.Channel == "" || e.Role != string(domain.RoleCustomer) && e.Role != string(domain.RoleDelivery) {
				t.Fatalf("%s takes the right %+v away", typ, e)
			}
		}
	})
}

// Whatever a client gives for a cursor, it is where a list was left, or it is refused.
func FuzzACursorIsReadAsItWasWritten(f *testing.F) {
	for _, key := range []int64{0, 1, 35, 36, 1 << 62, -1} {
		f.Add(projections.FormatCursor(key))
	}
	for _, s := range []string{"", "MQ==", "M", "LTE", "Kw", "\n", "enp6enp6enp6enp6enp6"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := projections.ParseCursor(s, 17)
		if err != nil {
			if domain.CodeOf(err) != domain.CodeInvalidRequest {
				t.Fatalf("%q is refused with %v", s, err)
			}
			return
		}
		if s == "" && key != 17 {
			t.Fatalf("without a cursor a list begins at %d", key)
		}
		again, err := projections.ParseCursor(projections.FormatCursor(key), 0)
		if err != nil || again != key {
			t.Fatalf("%q is %d, then %d, %v", s, key, again, err)
		}
	})
}
