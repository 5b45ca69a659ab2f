package proofs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// maxProblems is how many problems a report lists.
	maxProblems = 100
	// catchUpRounds bounds how often the events that came meanwhile are read before the end is, which is read in one
	// snapshot with all that is compared with them. closeEnough is when there is no need for another round.
	catchUpRounds = 5
	closeEnough   = 5000
)

// Verify reads each event once, in order, and recomputes everything that follows from them: that no seq is missing and none
// is beyond the head, that time does not fall, the versions of each stream and the table of streams, each tile of the tree,
// the root of each exported checkpoint and its signature, and the audit's index. It trusts none of those tables, and works
// while events are appended: it ends at the head of the moment in which it has come up with the log.
//
// It goes on behind what is wrong, and names each problem with its seq as exactly as the rest allows. A leaf that does not
// match is a changed event or a changed row of the tree; an exported checkpoint behind it says which. Where the tree was
// made anew over changed events, an exported checkpoint finds that, and names the range since the one before.
//
// progress, if not nil, is called now and then with how many events are read, of how many. A verification takes up
// to three connections of the pool, and some 120 bytes of memory for each stream beside 16 for each 1024 events.
//
// An error says that the verification could not be done; what it finds is in the report.
func (n *Notary) Verify(ctx context.Context, progress func(done, of int64)) (Report, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	x := &examination{store: n.cfg.Store, pool: n.cfg.Pool, ring: n.ring, progress: progress, startedAt: time.Now()}
	defer x.close()
	if err := x.verify(ctx, n.dir); err != nil {
		return Report{}, fmt.Errorf("verify the log: %w", err)
	}
	return x.report(), nil
}

func (x *examination) verify(ctx context.Context, dir directory) error {
	start, err := readState(ctx, x.pool)
	if err != nil {
		return err
	}
	x.begin(ctx, start)
	if err := x.openTrails(ctx, dir); err != nil {
		return err
	}
	for range catchUpRounds {
		now, err := readState(ctx, x.pool)
		if err != nil {
			return err
		}
		if x.at > 0 && now.head-x.at < closeEnough {
			break
		}
		if err := x.readEvents(ctx, now.head); err != nil {
			return err
		}
	}
	return pgx.BeginTxFunc(ctx, x.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlUnhurried); err != nil {
			return err
		}
		return x.verifyEnd(ctx, tx)
	})
}

// verifyEnd compares with the tables, in the snapshot of tx: the events that are in it are all that they follow from.
func (x *examination) verifyEnd(ctx context.Context, tx pgx.Tx) error {
	end, err := readState(ctx, tx)
	if err != nil {
		return err
	}
	if len(x.start.odd) == 0 {
		x.problems.addAll(end.odd)
	}
	if end.log != x.start.log && end.log != uuid.Nil {
		x.problems.add(Problem{Kind: KindHead, Detail: fmt.Sprintf("the log's id was changed from %s to %s during the verification", x.start.log, end.log)})
	}
	if end.head < x.at {
		x.problems.add(Problem{
			Seq: end.head + 1, UpTo: x.at, Kind: KindHead,
			Detail: fmt.Sprintf("the log's head was set back from %d to %d during the verification", x.at, end.head),
		})
	} else if err := x.readEvents(ctx, end.head); err != nil {
		return err
	}
	x.head = end.head
	x.progress(x.read, x.read)
	steps := []func(context.Context, pgx.Tx, storedTree) error{
		x.findBeyond, x.compareHead, x.endTree, x.findOddTiles, x.endTrails, x.compareStreams, x.compareIndex,
	}
	for _, step := range steps {
		if err := step(ctx, tx, end); err != nil {
			return err
		}
	}
	return nil
}

func (x *examination) report() Report {
	r := Report{
		Log: x.start.log, Events: x.read, Head: x.head, TreeSize: x.start.position, Checkpoints: x.compared,
		Problems: x.problems.list(), Warnings: x.warnings, StartedAt: x.startedAt.UTC(), Seconds: time.Since(x.startedAt).Seconds(),
	}
	r.OK = len(r.Problems) == 0
	switch {
	case x.problems.below != nil:
		r.FirstBadSeq = x.problems.below
	case x.problems.first > 0:
		r.FirstBadSeq = &x.problems.first
	}
	if x.tree.whole {
		r.Root = x.tree.events.root().String()
	}
	if more := x.problems.count - len(r.Problems); more > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d more problems are not listed", more))
	}
	return r
}

// problems keeps the first of each kind, so that many of one do not hide another.
type problems struct {
	byKind map[string][]Problem
	count  int
	first  int64  // the smallest seq above 0 that any names; 0: none does
	below  *int64 // the smallest of those that are not above 0; nil: there is none
}

func (p *problems) add(problem Problem) {
	if problem.UpTo == problem.Seq {
		problem.UpTo = 0
	}
	p.count++
	isFirst := false
	switch {
	case problem.Seq > 0:
		if isFirst = p.first == 0 || problem.Seq < p.first; isFirst {
			p.first = problem.Seq
		}
	case problem.Named():
		if isFirst = p.below == nil || problem.Seq < *p.below; isFirst {
			p.below = &problem.Seq
		}
	}
	if p.byKind == nil {
		p.byKind = make(map[string][]Problem)
	}
	if same := p.byKind[problem.Kind]; len(same) < maxProblems {
		p.byKind[problem.Kind] = append(same, problem)
	} else if isFirst { // what the report names is listed
		same[len(same)-1] = problem
	}
}

func (p *problems) addAll(found []Problem) {
	for _, problem := range found {
		p.add(problem)
	}
}

// list returns the first problems, and the first of each kind, in the order of seq; those that name none come last.
func (p *problems) list() []Problem {
	all := []Problem{}
	for _, same := range p.byKind {
		all = append(all, same...)
	}
	slices.SortFunc(all, func(a, b Problem) int {
		switch {
		case a.Named() && !b.Named():
			return -1
		case b.Named() && !a.Named():
			return 1
		default:
			return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Detail, b.Detail))
		}
	})
	return cut(all)
}

// cut leaves the first problems, among them the first of each kind.
func cut(all []Problem) []Problem {
	if len(all) <= maxProblems {
		return all
	}
	kinds := make(map[string]bool)
	for _, p := range all {
		kinds[p.Kind] = true
	}
	left := all[:0]
	for _, p := range all {
		if room := maxProblems - len(left); kinds[p.Kind] || room > len(kinds) {
			left = append(left, p)
			delete(kinds, p.Kind)
		}
	}
	return left
}
