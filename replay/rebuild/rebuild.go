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
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
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

	patience time.Duration   // how long to try while the tables are in use; 0: 5 minutes
	dial     pgconn.DialFunc // nil: the usual
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
	if err := opts.complete(); err != nil {
		return Result{}, err
	}
	group, tables, err := groupOf(models)
	if err != nil {
		return Result{}, err
	}
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return Result{}, errors.New("the database's address can't be read") // not shown: it may hold a password
	}
	if opts.dial != nil {
		config.ConnConfig.DialFunc = opts.dial
	}
	p, err := inspect(ctx, config.ConnConfig, tables, opts)
	if err != nil {
		return Result{}, fmt.Errorf("rebuild %s: %w", opts.Name, err)
	}
	pool, err := connect(ctx, config, p)
	if err != nil {
		return Result{}, fmt.Errorf("rebuild %s: %w", opts.Name, err)
	}
	defer pool.Close()
	writer, err := pool.Acquire(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("rebuild %s: connect: %w", opts.Name, err)
	}
	defer writer.Release()
	r := &run{
		opts: opts, place: p, group: group, tables: tables, pool: pool, writer: writer,
		store: eventstore.Open(pool, eventstore.Options{}), streams: streamsOf(models),
		result: Result{Name: opts.Name, Rows: make(map[string]int64), Differences: []Difference{}},
	}
	for _, m := range models {
		r.models = append(r.models, m.New(pool))
	}
	if len(r.models) == 1 {
		r.bulk, _ = r.models[0].(projections.Bulk)
	}
	started := time.Now()
	err = r.all(ctx)
	r.result.Took = time.Since(started)
	if ctx.Err() != nil && err != nil {
		return r.result, fmt.Errorf("rebuild %s: stopped at seq %d, run it again to go on: %w", opts.Name, r.position, ctx.Err())
	}
	if err != nil {
		return r.result, fmt.Errorf("rebuild %s: %w", opts.Name, err)
	}
	return r.result, nil
}

// run is one run of a rebuild. Not safe for concurrent use.
type run struct {
	opts Options
	place
	group   string
	tables  []string
	models  []projections.Model
	bulk    projections.Bulk // the only model, if its rows can be derived ahead; else nil
	streams map[string]bool  // types of stream that the models are derived from; nil: all
	pool    *pgxpool.Pool
	writer  *pgxpool.Conn // all that is written, and the locks that keep others away
	store   *eventstore.Store

	position int64 // the shadow has every event up to it
	floor    int64 // nothing is kept up to here; 0 but for the notification log
	meter    meter
	result   Result
}

func (r *run) all(ctx context.Context) error {
	if err := claim(ctx, r.writer, r.opts.Name, r.tables); err != nil {
		return err
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	if err := r.catchUp(ctx); err != nil {
		return err
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	if err := r.compare(ctx); err != nil {
		return err
	}
	if r.opts.DryRun {
		return r.drop(ctx)
	}
	return r.swap(ctx)
}

// fromFloor: the rows are kept from a floor on, which retention raises.
func (r *run) fromFloor() bool { return r.group == projections.GroupFeed }

var validName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

func (o *Options) complete() error {
	if !validName.MatchString(o.Name) {
		return fmt.Errorf("a rebuild can't be named %q: use up to 40 of a to z, 0 to 9 and _", o.Name)
	}
	if o.Segment <= 0 {
		o.Segment = 5000
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
