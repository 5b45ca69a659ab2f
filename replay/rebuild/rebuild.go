// Package rebuild derives a read model anew from the log, beside the live one, says in what the two differ, and puts the
// new one in the old one's place.
//
// Guarantees: readers of the live tables never fail, never wait for longer than a lock timeout, and never see a seq that
// goes back. The live group keeps going meanwhile. What is compared is exactly the rows of one seq on both sides. A
// rebuild that is interrupted at any moment, kill -9 included, leaves the live tables as they were or wholly replaced;
// run again it goes on where it was. Memory is bounded whatever the log's and the tables' size.
package rebuild

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/projections"
)

// Phases of a rebuild, in their order.
const (
	PhaseBuilding  = "building"
	PhaseComparing = "comparing"
	PhaseSwapping  = "swapping"
)

// Options of [Run].
type Options struct {
	// Name is what is rebuilt: a read model's name, "views" or "feed". It names the schema, rebuild_NAME, and the row in
	// rebuilds: lower case letters, digits and underscores.
	Name string
	// Program is the version of this program: what another one began is not gone on with but begun anew.
	Program string
	// DryRun builds and compares, and then throws away what was built: the live tables stay.
	DryRun bool
	// Restart begins anew also where an interrupted rebuild could be gone on with.
	Restart bool
	// Segment is how many events one transaction takes. 0: 5000.
	Segment int
	// Progress, if not nil, is called from Run's goroutine, at most some times a second and at each change of phase.
	Progress func(Progress)
	// Logger: nil discards.
	Logger *slog.Logger
}

// Progress is how far a rebuild is.
type Progress struct {
	Phase string
	// Done and Total are seqs of the log while building, and rows while comparing (Total is then an estimate).
	Done, Total int64
	// Rate is what was done in a second, over this phase of this run.
	Rate float64
	// Left is how long the rest of the phase takes at that rate; 0 when that is not known.
	Left time.Duration
	// ContinuedFrom is the seq from which an interrupted rebuild goes on; 0: it began anew.
	ContinuedFrom int64
}

// Result is what a rebuild came to.
type Result struct {
	Name string `json:"name"`
	// Seq is where the two were compared: both had every event up to it and none after.
	Seq int64 `json:"seq"`
	// Events that this run read.
	Events int64 `json:"events"`
	// ContinuedFrom is the seq from which an interrupted rebuild went on; 0: it began anew.
	ContinuedFrom int64         `json:"continuedFrom"`
	Took          time.Duration `json:"took"` // nanoseconds
	// Rows that were rebuilt, by table.
	Rows map[string]int64 `json:"rows"`
	// Differences are the first 100, by table and key; Different is how many rows differ in all.
	Differences []Difference `json:"differences"`
	Different   int64        `json:"different"`
	// Swapped: what was rebuilt is live.
	Swapped bool `json:"swapped"`
}

// Difference is a row that the live table has otherwise than the one that was rebuilt.
type Difference struct {
	Table string `json:"table"`
	// Key is the row's primary key: NAME=VALUE, with ", " between several columns.
	Key string `json:"key"`
	// The whole rows as JSON objects; nil where there is none.
	Live    json.RawMessage `json:"live"`
	Rebuilt json.RawMessage `json:"rebuilt"`
}

// Row is a rebuild that is under way or was interrupted.
type Row struct {
	Name     string `json:"name"`
	Position int64  `json:"position"` // the seq up to which it is built
	Program  string `json:"program"`  // the version that began it
	// Running: a process works on it now. Else it was interrupted.
	Running   bool      `json:"running"`
	StartedAt time.Time `json:"startedAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// ErrRunning: another process works on the same tables.
var ErrRunning = errors.New("these tables are being rebuilt already, by another process")

// Run derives models anew and, unless DryRun, puts them in the live ones' place, in the database at databaseURL. All
// models are of one group. It reports the differences it found before; they are no error.
//
// When it fails, or ctx ends, the live tables are as they were and what was built is kept: run again it goes on. It never
// waits for a node: a group that stands at an event is compared at the event before.
func Run(ctx context.Context, databaseURL string, models []projections.ReadModel, opts Options) (Result, error) {
	return Result{}, errors.New("not yet")
}

// Choose returns the read models that an operator's name stands for: one by its name, all of REST by "views", or the
// notification log by "feed". The error says what there is.
func Choose(name string) ([]projections.ReadModel, error) {
	return nil, errors.New("not yet")
}

// Pending returns the rebuilds that are under way or were interrupted, by name.
func Pending(ctx context.Context, pool *pgxpool.Pool) ([]Row, error) {
	return nil, errors.New("not yet")
}
