package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/wI2L/jsondiff"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

// Change is one member of [State] that an event changed. updatedAt and version change with every event and are left out.
type Change struct {
	// Path is an RFC 6901 pointer into the state, such as "/payments/0/status".
	Path string `json:"path"`
	// From and To are the values before and after; From is missing of what was not there before, To of what is gone.
	From json.RawMessage `json:"from,omitempty"`
	To   json.RawMessage `json:"to,omitempty"`
}

// differ says what each of an order's events changed, given them one after another from the first on.
type differ struct {
	fold   fold
	before map[string]any
}

// skip takes events in whose changes nobody is interested.
func (d *differ) skip(events []eventstore.Recorded) error {
	for _, e := range events {
		d.fold.apply(e, decoded(e))
	}
	var err error
	d.before, err = d.fold.document()
	return err
}

// changes returns what an event changed: nothing, but not nil, if it is of no stream that the state is folded from, and
// nil if nobody knows. body is nil when this program does not know what the event says.
func (d *differ) changes(e eventstore.Recorded, body domain.Event) ([]Change, error) {
	if !matters(e) {
		return []Change{}, nil
	}
	if body == nil {
		return nil, nil
	}
	d.fold.apply(e, body)
	after, err := d.fold.document()
	if err != nil {
		return nil, err
	}
	changes, err := compare(d.before, after)
	d.before = after
	return changes, err
}

// compare lists the differences of two JSON objects in the order of their paths.
func compare(before, after map[string]any) ([]Change, error) {
	var by jsondiff.Differ
	by.Compare(before, after)
	changes := []Change{}
	appended := map[string]int{} // how many elements an array got
	removed := map[string]int{}  // how many it lost behind an index
	for _, op := range by.Patch() {
		c := Change{Path: op.Path}
		var err error
		if op.Type != jsondiff.OperationAdd {
			c.From, err = json.Marshal(op.OldValue)
		}
		if op.Type != jsondiff.OperationRemove && err == nil {
			c.To, err = json.Marshal(op.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("encode a change: %w", err)
		}
		// A patch is applied step by step, a change is looked up: elements have the index where they are or were.
		at := strings.LastIndexByte(op.Path, '/')
		parent, name := op.Path[:at], op.Path[at+1:]
		if array, ok := lookup(before, parent).([]any); ok {
			switch index, _ := strconv.Atoi(name); {
			case name == "-":
				c.Path = parent + "/" + strconv.Itoa(len(array)+appended[parent])
				appended[parent]++
			case op.Type == jsondiff.OperationRemove:
				c.Path = parent + "/" + strconv.Itoa(index+removed[parent])
				removed[parent]++
			}
		}
		changes = append(changes, c)
	}
	return changes, nil
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// lookup returns the value at a JSON pointer; nil if there is none.
func lookup(value any, path string) any {
	for _, name := range strings.Split(path, "/")[1:] {
		switch v := value.(type) {
		case map[string]any:
			value = v[unescape.Replace(name)]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// remarshal makes a value's JSON into plain values, with its numbers as they are written.
func remarshal(from any, into *map[string]any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(into)
}
