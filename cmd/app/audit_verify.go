package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/replay/proofs"
)

var auditVerify = subcommand{
	usage: "audit verify [--json]",
	help: `
Reads the whole log and checks that no event is missing, that the versions of every stream follow on each other, that the
tree over all events has the hashes that follow from them, and that it is the tree whose root was signed in every exported
checkpoint. It ends with 1 when something is wrong, and says at which seq it begins; also when CHECKPOINT_DIR is set, and
no checkpoint of this log is in it.

  --json   the whole report
`,
	run: verify,
}

func verify(ctx context.Context, env environment, c subcommand, args []string) (err error) {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	asIs := flags.Bool("json", false, "")
	if _, err := c.parse(flags, args, 0); err != nil {
		return err
	}
	t, err := openTools(ctx, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	trusted, err := t.trusted()
	if err != nil {
		return err
	}
	notary, err := proofs.Open(proofs.Config{Pool: t.pool, Store: t.store, Trusted: trusted, Dir: t.cfg.CheckpointDir, Logger: t.logger})
	if err != nil {
		return err
	}
	head, _ := t.store.Head(ctx) // only for the bar: where it can't be read, the report says so
	bar := newProgress(env.stderr, "verifying", 0, head.Seq, "events")
	report, err := notary.Verify(ctx, func(done, _ int64) { bar.at(done) })
	bar.end()
	if err != nil {
		return inWords(err)
	}
	unseen := missed(env, t.cfg, &report)
	if report.OK && report.Checkpoints == 0 && report.Events > 0 {
		fmt.Fprintf(env.stderr, "no exported checkpoint was compared, so who owns the database could have changed log and tree alike: set CHECKPOINT_DIR (now %s) to where the server writes them, and AUDIT_PUBLIC_KEYS to its public key\n",
			t.cfg.CheckpointDir)
	}
	if *asIs {
		err = writeJSON(env.stdout, report)
	} else {
		notes := &lines{w: env.stderr}
		if !report.OK { // what is wrong comes first, wherever it is read
			err = writeReport(env.stdout, report)
			notes.w = env.stdout
		}
		for _, warning := range report.Warnings {
			notes.printf("note: %s", warning)
		}
		if report.OK {
			err = writeReport(env.stdout, report)
		}
	}
	if unseen != nil {
		return errors.Join(err, unseen)
	}
	return errors.Join(err, damage(report))
}

// missed is the error of a log that is whole by itself where CHECKPOINT_DIR was set and nothing could be compared with
// it: who names a folder wants the log held against it, and a wrong path must not pass for a proof. The report then is
// not ok either. Nobody named the folder that is the default, and a log may be older than its checkpoints.
func missed(env environment, cfg config.Config, r *proofs.Report) error {
	if !r.OK || r.Checkpoints > 0 || r.Events == 0 || strings.TrimSpace(env.getenv("CHECKPOINT_DIR")) == "" {
		return nil
	}
	why := fmt.Sprintf("nothing was compared with CHECKPOINT_DIR=%s: it has no checkpoint of the log %s that a known key signed; set it to where the server writes them, and AUDIT_PUBLIC_KEYS to its public key",
		printable(cfg.CheckpointDir), r.Log)
	r.OK = false
	r.Problems = append(r.Problems, proofs.Problem{Kind: proofs.KindCheckpoints, Detail: why})
	return errors.New(why)
}

// trusted are the public keys that checkpoints may be signed with.
func (t *tools) trusted() ([]string, error) {
	own, err := config.AuditPublicKey(t.cfg)
	if errors.Is(err, config.ErrNoAuditKey) {
		return t.cfg.AuditPublicKeys, nil
	}
	return append([]string{own}, t.cfg.AuditPublicKeys...), err
}

// writeReport writes a verification's outcome for people: one line when all is well, else a line a problem.
func writeReport(w io.Writer, r proofs.Report) error {
	out := &lines{w: w}
	if r.OK {
		out.printf("ok: %s, tree of %d, root %s, %s, in %.1f s", count(r.Events, "event"), r.TreeSize, r.Root, count(int64(r.Checkpoints), "checkpoint"), r.Seconds)
		return out.err
	}
	for _, p := range r.Problems {
		out.printf("%s: %s: %s", stretch(p), p.Kind, p.Detail)
	}
	out.printf("%s, tree of %d, %s, in %.1f s", count(r.Events, "event"), r.TreeSize, count(int64(r.Checkpoints), "checkpoint"), r.Seconds)
	return out.err
}

func stretch(p proofs.Problem) string {
	switch {
	case !p.Named():
		return "the log, no seq by itself"
	case p.UpTo != 0 && p.UpTo > p.Seq:
		return fmt.Sprintf("seq %d to %d", p.Seq, p.UpTo)
	}
	return fmt.Sprintf("seq %d", p.Seq)
}

// damage is what a verification found first, as the error that a command ends with.
func damage(r proofs.Report) error {
	if r.OK {
		return nil
	}
	first := proofs.Problem{Kind: "the report is not ok"}
	for _, p := range r.Problems {
		if r.FirstBadSeq == nil || p.Named() && p.Seq == *r.FirstBadSeq {
			first = p
			break
		}
	}
	if r.FirstBadSeq == nil {
		return fmt.Errorf("the log is damaged, and no seq by itself is bad: %s: %s", first.Kind, printable(first.Detail))
	}
	return fmt.Errorf("the log is damaged: first bad seq %d: %s: %s", *r.FirstBadSeq, first.Kind, printable(first.Detail))
}
