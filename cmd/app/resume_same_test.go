package main

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/orderlog/orderlog/domain"
)

// saysTheSame checks that a client of every transport is told what the ear was told, from the beginning of the log up to
// a seq: the same events, in the same order, with the same data.
func (e *ear) saysTheSame(who, server, user string, role domain.Role, last int64) {
	e.t.Helper()
	for _, transport := range transports {
		c := newClient(e.t, transport.driver(), user, role)
		k, err := c.connect(e.t.Context(), server)
		if err != nil {
			e.t.Fatal(err)
		}
		var got []heard
		for c.last < last {
			f, err := k.next(e.t.Context())
			if err != nil {
				e.t.Fatalf("%s over %s: %v", who, transport.name, err)
			}
			if f.logged {
				got = append(got, f)
			}
		}
		k.cut()
		if len(got) != len(e.told) {
			e.t.Errorf("%s over %s is told of %v, want %v", who, transport.name, c.got, e.told)
			continue
		}
		for i, want := range e.told {
			var data map[string]any
			if err := json.Unmarshal(got[i].data, &data); err != nil {
				e.t.Fatal(err)
			}
			if got[i].seq != want.Seq || got[i].event != want.Event || !reflect.DeepEqual(data, want.Data) {
				e.t.Errorf("%s over %s is told %s, want %s", who, transport.name, fmt.Sprint(got[i].seq, got[i].event, data), fmt.Sprint(want.Seq, want.Event, want.Data))
			}
		}
	}
}
