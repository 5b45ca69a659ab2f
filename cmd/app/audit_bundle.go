package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/replay/proofs"
)

var auditBundle = subcommand{
	usage: "audit bundle ORDER [--out FILE [--force]]",
	help: `
One file with all events of an order, the proofs that they are in the log, and the signed checkpoint that these lead to. It
is checked by app audit verify-bundle, anywhere. It needs the key that checkpoints are signed with: AUDIT_KEY, or the
server's DATA_DIR. ORDER is the order's id, or its number such as ORD-000123.

  --out FILE   where to write it; standard output if not given
  --force      replace a file that is there
`,
	run: bundle,
}

func bundle(ctx context.Context, env environment, c subcommand, args []string) (err error) {
	flags := flag.NewFlagSet("bundle", flag.ContinueOnError)
	out := flags.String("out", "", "")
	force := flags.Bool("force", false, "")
	words, err := c.parse(flags, args, 1)
	if err != nil {
		return err
	}
	if err := c.checkOrder(words[0]); err != nil {
		return err
	}
	if *force && *out == "" {
		return c.wrong("--force is for --out")
	}
	if _, err := os.Lstat(*out); err == nil && *out != "" && !*force {
		return errExists(*out)
	}

	t, err := openTools(ctx, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	cfg, err := config.ReadAuditKey(t.cfg)
	if err != nil {
		return err
	}
	if err := t.catchUp(ctx, env.stderr); err != nil {
		return inWords(err)
	}
	id, err := t.order(ctx, words[0])
	if err != nil {
		return err
	}
	notary, err := proofs.Open(proofs.Config{
		Pool: t.pool, Store: t.store, Orders: t.log, Logger: t.logger,
		Key: string(cfg.AuditKey), Trusted: cfg.AuditPublicKeys, Dir: cfg.CheckpointDir,
	})
	if err != nil {
		return err
	}
	content, err := notary.Bundle(ctx, id)
	if err != nil {
		return missing(err)
	}
	if *out == "" {
		_, err = env.stdout.Write(content)
		return err
	}
	return writeFile(*out, content, *force)
}

func errExists(path string) error {
	return fmt.Errorf("%s is there already: give another --out, or --force to replace it", path)
}

// writeFile writes a file that is whole or not there at all.
func writeFile(path string, content []byte, replace bool) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".bundle-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644) // a bundle is made to be handed on
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if replace {
		return os.Rename(f.Name(), path)
	}
	// Unlike a rename a link fails where something came to be meanwhile.
	if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return errExists(path)
	}
	if err == nil {
		err = os.Remove(f.Name())
	}
	return err
}

var auditVerifyBundle = subcommand{
	usage: "audit verify-bundle FILE [--key FILE_OR_KEY] [--json]",
	help: `
Checks a file that app audit bundle made: that no event in it was changed, and that they are in the log whose checkpoint
was signed with a key that is trusted, by whose word they are all of the order's. It needs no database. It ends with 1 when
something is wrong.

  --key K   the operator's public key, or a file that holds it, one a line; the flag may come several times. If not given:
            AUDIT_PUBLIC_KEYS, else the key under DATA_DIR, else the bundle's own, which proves less
  --json    the whole report; of a bundle that fails {"ok": false, "error": "…"}
`,
	run: verifyBundle,
}

// bundleReport is what --json prints of a bundle that is good.
type bundleReport struct {
	OK bool `json:"ok"`
	proofs.BundleReport
}

// bundleFailure is what --json prints of any other.
type bundleFailure struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

func verifyBundle(_ context.Context, env environment, c subcommand, args []string) error {
	var trusted []string
	flags := flag.NewFlagSet("verify-bundle", flag.ContinueOnError)
	flags.Var(several(func(s string) error {
		keys, err := readKeys(s)
		trusted = append(trusted, keys...)
		return err
	}), "key", "")
	asIs := flags.Bool("json", false, "")
	words, err := c.parse(flags, args, 1)
	if err != nil {
		return err
	}
	report, from, err := checkBundle(env, words[0], trusted)
	if err != nil {
		if *asIs { // else a program that reads it has to tell an empty output from a crash
			err = errors.Join(err, writeJSON(env.stdout, bundleFailure{Error: err.Error()}))
		}
		return err
	}
	if !report.Trusted {
		fmt.Fprintf(env.stderr, "no key was given, so the bundle was checked with the one that it holds, which proves only that it agrees with itself: compare the key with the operator's (app audit key), or give that with --key\n")
		from = "the bundle itself"
	}
	if *asIs {
		return writeJSON(env.stdout, bundleReport{true, report})
	}
	out := &lines{w: env.stdout}
	out.printf("ok: %s about order %s, seq %d to %d; by the word of who signed it, all there are up to seq %d",
		count(int64(report.Events), "event"), report.OrderID, report.FirstSeq, report.LastSeq, report.AsOf)
	out.row("log", "%s", report.Log)
	out.row("as of", "%s", report.At.UTC().Format("2006-01-02 15:04:05 UTC"))
	out.row("signed by", "%s", report.PublicKey)
	out.row("key from", "%s", from)
	return out.err
}

// checkBundle checks a bundle with the keys that were given, else with those that are found; from is where they are from.
func checkBundle(env environment, path string, trusted []string) (report proofs.BundleReport, from string, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return report, "", fmt.Errorf("the bundle cannot be read: %w", err)
	}
	from = "--key"
	if len(trusted) == 0 {
		if trusted, from, err = keysFound(env); err != nil {
			return report, "", err
		}
	}
	report, err = proofs.VerifyBundle(content, trusted)
	if err != nil {
		return report, "", fmt.Errorf("the bundle proves nothing: %w", inWords(err))
	}
	return report, from, nil
}

// readKeys takes a public key, or a file that holds some, one a line.
func readKeys(given string) ([]string, error) {
	if _, err := note.NewVerifier(given); err == nil {
		return []string{given}, nil
	}
	content, err := os.ReadFile(given)
	if err != nil {
		return nil, errors.New("it is neither a public key, such as app audit key prints, nor a file that can be read")
	}
	var keys []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if _, err := note.NewVerifier(line); err != nil { // not shown: it may be a private one
			return nil, errors.New("the file holds what is no public key")
		}
		keys = append(keys, line)
	}
	if len(keys) == 0 {
		return nil, errors.New("the file holds no public key")
	}
	return keys, nil
}

// keysFound are the keys to trust where none was given, and where they are from. It says so where nobody named the place
// either: who is handed a bundle may be handed a folder with a key in it.
func keysFound(env environment) (keys []string, from string, err error) {
	cfg, err := config.LoadWithoutKeys(env.getenv)
	if err != nil {
		return nil, "", err
	}
	if len(cfg.AuditPublicKeys) > 0 {
		return cfg.AuditPublicKeys, "AUDIT_PUBLIC_KEYS", nil
	}
	key, err := config.AuditPublicKey(cfg)
	switch {
	case errors.Is(err, config.ErrNoAuditKey):
		return nil, "", nil
	case err != nil:
		return nil, "", err
	case len(cfg.AuditKey) > 0:
		return []string{key}, "AUDIT_KEY", nil
	}
	file := filepath.Join(cfg.DataDir, "audit-key.pub")
	if strings.TrimSpace(env.getenv("DATA_DIR")) == "" {
		if whole, err := filepath.Abs(file); err == nil {
			file = whole
		}
		fmt.Fprintf(env.stderr, "no key was given, so the bundle is checked with the one in %s, which lies under the current folder: compare it with the operator's (app audit key), or give that with --key\n", printable(file))
	}
	return []string{key}, file, nil
}

var auditKey = subcommand{
	usage: "audit key [--new]",
	help: `
Prints the public key that checkpoints are signed with, to give to whoever verifies: that of AUDIT_KEY, or the one under
DATA_DIR.

  --new   print a new private key instead, for AUDIT_KEY, and its public key on standard error; nothing is kept
`,
	run: printAuditKey,
}

func printAuditKey(_ context.Context, env environment, c subcommand, args []string) error {
	flags := flag.NewFlagSet("key", flag.ContinueOnError)
	fresh := flags.Bool("new", false, "")
	if _, err := c.parse(flags, args, 0); err != nil {
		return err
	}
	if *fresh {
		private, public, err := config.GenerateAuditKey()
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stderr, "its public key: %s\n", public)
		_, err = fmt.Fprintln(env.stdout, private)
		return err
	}
	cfg, err := config.LoadWithoutKeys(env.getenv)
	if err != nil {
		return err
	}
	key, err := config.AuditPublicKey(cfg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.stdout, key)
	return err
}
