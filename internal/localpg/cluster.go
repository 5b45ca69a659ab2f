package localpg

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	dataFolder     = "data"
	newDataFolder  = "data.new"
	logFile        = "postgres.log"
	secretFile     = "secret"
	initdbAtMost   = 5 * time.Minute
	secretAtLeast  = 32
	versionAtMost  = 99
	passwordPrefix = "orderlog/"
)

func hasCluster(home string) bool {
	_, err := os.Stat(filepath.Join(home, dataFolder, "PG_VERSION"))
	return err == nil
}

func clusterMajor(home string) (int, error) {
	path := filepath.Join(home, dataFolder, "PG_VERSION")
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read the cluster's version: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || major < 1 || major > versionAtMost {
		return 0, fmt.Errorf("%s does not name a version of PostgreSQL", path)
	}
	return major, nil
}

// initialise makes a cluster under another name and renames it when it is whole, so that one that was interrupted is
// never taken for a cluster.
func initialise(ctx context.Context, home string, s site, secret string, noSync bool) error {
	if _, err := os.Lstat(filepath.Join(home, dataFolder)); err == nil {
		return fmt.Errorf("%s is not a PostgreSQL cluster and is in the way; move it, or give another DATA_DIR", filepath.Join(home, dataFolder))
	}
	target := filepath.Join(home, newDataFolder)
	if err := os.RemoveAll(target); err != nil {
		return fmt.Errorf("remove an unfinished cluster: %w", err)
	}
	if err := makeOwned(target, s.account); err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	// initdb runs as the server's user, who cannot read our secret; it gets a file of its own for that moment.
	passFile := filepath.Join(home, "initdb.secret")
	defer os.Remove(passFile)
	if err := os.WriteFile(passFile, []byte(password(secret, Superuser)+"\n"), 0o600); err != nil {
		return fmt.Errorf("hand the secret to initdb: %w", err)
	}
	if err := s.account.own(passFile); err != nil {
		return fmt.Errorf("hand the secret to initdb: %w", err)
	}
	args := []string{
		"--pgdata", target, "--username", Superuser, "--encoding", "UTF8", "--locale", "C",
		"--auth-local", "trust", "--auth-host", "scram-sha-256", "--pwfile", passFile,
		"--data-checksums", "--no-instructions",
	}
	if noSync {
		args = append(args, "--no-sync")
	}
	ctx, cancel := context.WithTimeout(ctx, initdbAtMost)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.programs.path("initdb"), args...) //nolint:gosec // a program that was looked for
	cmd.Dir, cmd.Env, cmd.SysProcAttr = home, environment(), attributes(s.account)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with the servers it starts
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return fmt.Errorf("make the cluster: initdb: %w: %s", err, strings.Join(lines[max(0, len(lines)-4):], "; "))
	}
	if err := os.Rename(target, filepath.Join(home, dataFolder)); err != nil {
		return fmt.Errorf("put the cluster in place: %w", err)
	}
	return syncFolder(home)
}

// readOrMakeSecret gives the secret that the roles' passwords come from, and whether it is new.
func readOrMakeSecret(home string) (secret string, made bool, err error) {
	secret, err = readSecret(home)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return secret, false, err
	}
	raw := make([]byte, secretAtLeast)
	_, _ = rand.Read(raw) // never fails
	secret = hex.EncodeToString(raw)
	return secret, true, writeWhole(filepath.Join(home, secretFile), secret+"\n")
}

// readSecret reads the secret; one that is too short to be one counts as missing.
func readSecret(home string) (string, error) {
	data, err := os.ReadFile(filepath.Join(home, secretFile))
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(data))
	if len(secret) < secretAtLeast {
		return "", fmt.Errorf("the secret of %s is cut short: %w", home, fs.ErrNotExist)
	}
	return secret, nil
}

// password derives a role's password, so that knowing one does not give the other.
func password(secret, role string) string {
	sum := sha256.Sum256([]byte(passwordPrefix + role + "/" + secret))
	return hex.EncodeToString(sum[:])
}

// writeWhole writes a file so that it is there in full or not at all, also after a power cut.
func writeWhole(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.WriteString(content); err != nil {
		_ = f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeOwned makes a folder that only the server's user may enter.
func makeOwned(path string, as *account) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return as.own(path)
}
