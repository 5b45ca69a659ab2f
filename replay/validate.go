package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

// maxType is the longest name of a type of stream or event that is looked for, in characters.
const maxType = 100

// checkPage checks what bounds a page, and returns the limit that holds.
func checkPage(after, to int64, limit int) (int, error) {
	switch {
	case after < 0:
		return 0, domain.Invalid("after", "must be a seq, from 0 on")
	case to < 0:
		return 0, domain.Invalid("to", "must be a seq, from 1 on, or be left out")
	case to > 0 && after > to:
		return 0, domain.Invalid("after", "must not be above to, which is %d", to)
	case limit < 0 || limit > maxPage:
		return 0, domain.Invalid("limit", "must be a whole number from 1 to %d", maxPage)
	case limit == 0:
		return maxPage, nil
	}
	return limit, nil
}

func checkTimes(since, until time.Time) error {
	if !since.IsZero() && !until.IsZero() && since.After(until) {
		return domain.Invalid("since", "must not be after until, which is %s", until.Format(time.RFC3339Nano))
	}
	return nil
}

func checkActor(actor string) error {
	if actor == "" {
		return nil
	}
	return domain.CheckLine("actor", actor, 1, domain.MaxUserID)
}

// storedTypes returns all names under which types of events are in the log: those that this program knows, and those of
// newer ones that wrote into it.
func (l *Log) storedTypes(ctx context.Context, names []string) ([]string, error) {
	all := []string{}
	if len(names) == 0 {
		return all, nil
	}
	rows, err := l.pool.Query(ctx, sqlTypes, planned)
	if err != nil {
		return nil, fmt.Errorf("list the types of events: %w", err)
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list the types of events: %w", err)
	}
	for _, name := range names {
		stored := domain.StoredTypes(name)
		for _, t := range there {
			if isVersion(t, name) {
				stored = append(stored, t)
			}
		}
		if len(stored) == 0 {
			return nil, unknownType(name, there)
		}
		all = append(all, stored...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// isVersion says that events of a type, or of one version of it, are stored under a name.
func isVersion(stored, name string) bool {
	version, found := strings.CutPrefix(stored, name)
	if !found || version == "" {
		return found
	}
	version, found = strings.CutPrefix(version, ".v")
	return found && version != "" && strings.Trim(version, "0123456789") == ""
}

func unknownType(name string, there []string) error {
	if err := domain.CheckLine("type", name, 1, maxType); err != nil {
		return err
	}
	if similar := similarTypes(name, there); len(similar) > 0 {
		return domain.Invalid("type", "%q is no type of event; there is %s", name, strings.Join(similar, ", ")).With("similar", similar)
	}
	return domain.Invalid("type", "%q is no type of event; one is called like order.placed", name)
}

// similarTypes lists the types of events that somebody who wrote name may have meant, the likeliest first.
func similarTypes(name string, there []string) []string {
	const most = 5
	for _, t := range domain.EventTypes() {
		there = append(there, t.Name)
	}
	slices.Sort(there)
	name = strings.ToLower(name)
	type candidate struct {
		name     string
		distance int
	}
	var near, kin []candidate
	aggregate, _, _ := strings.Cut(name, ".")
	for _, t := range slices.Compact(there) {
		c := candidate{t, distance(name, t)}
		of, what, _ := strings.Cut(t, ".")
		switch {
		case c.distance <= 1+len(name)/4 || what == name:
			near = append(near, c)
		case of == aggregate:
			kin = append(kin, c)
		}
	}
	if len(near) == 0 {
		near = kin
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return a.distance - b.distance })
	var names []string
	for _, c := range near[:min(len(near), most)] {
		names = append(names, c.name)
	}
	return names
}

// distance is how many letters have to be added, left out or replaced to make one word of another.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// streamName is what a query calls a stream: without a type it is all streams of the id.
type streamName struct {
	typ string
	id  uuid.UUID
}

func parseStream(name string) (*streamName, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // no filter is no error
	}
	const must = "must be a stream such as order/0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55, or its id alone"
	typ, id, found := strings.Cut(name, "/")
	if !found {
		typ, id = "", name
	} else if domain.CheckLine("stream", typ, 1, maxType) != nil {
		return nil, domain.Invalid("stream", must)
	}
	parsed, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return nil, domain.Invalid("stream", must)
	}
	return &streamName{typ, parsed}, nil
}

// streams finds the streams that are meant; none if there are none of the id. A type of stream that is nowhere in the
// log is refused: it is misspelt.
func (l *Log) streams(ctx context.Context, name streamName) ([]stretch, error) {
	rows, err := l.pool.Query(ctx, sqlStreamsOf, planned, name.id)
	if err != nil {
		return nil, fmt.Errorf("find streams: %w", err)
	}
	var found []stretch
	var types []string
	var typ string
	var first, last *int64
	_, err = pgx.ForEachRow(rows, []any{&typ, &first, &last}, func() error {
		types = append(types, typ)
		if first != nil && last != nil && (name.typ == "" || name.typ == typ) {
			found = append(found, stretch{eventstore.StreamID{Type: typ, ID: name.id}, *first, *last})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find streams: %w", err)
	}
	if name.typ != "" && len(types) > 0 && !slices.Contains(types, name.typ) {
		return nil, domain.Invalid("stream", "is of a type that the log does not have: it has %s", strings.Join(types, ", "))
	}
	return found, nil
}
