package pgtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/migrations"
)

const (
	// strategy copies the template's files instead of logging its pages, which took half as long again (27 to 17 ms).
	strategy = "file_copy"
	// templateLock is the advisory lock under which templates and roles are made.
	templateLock = 0x6f726465726c6f67
)

// migrated gives the name of the template database, which it makes at the first call.
func (s *session) migrated(ctx context.Context, srv *server) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.template != "" {
		return s.template, nil
	}
	name, err := templateName(migrations.FS)
	if err != nil {
		return "", err
	}
	if err := makeTemplate(ctx, srv, name, migrations.Up); err != nil {
		return "", err
	}
	s.template = name
	return name, nil
}

// templateName names a template by the migrations in it, so that a server never gives the state of others.
func templateName(files fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(sum, "%s %d\n%s", path, len(data), data)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the migrations: %w", err)
	}
	return fmt.Sprintf("orderlog_template_%x", sum.Sum(nil)[:8]), nil
}

// makeTemplate makes the template unless it is there. A template that takes no connections is whole; one that does was
// left by a process that died over it, and is made anew.
func makeTemplate(ctx context.Context, s *server, name string, up func(ctx context.Context, url string) error) error {
	conn, err := pgx.Connect(ctx, s.Superuser)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return locked(ctx, conn, func() error {
		var open bool
		err := conn.QueryRow(ctx, `SELECT datallowconn FROM pg_database WHERE datname = $1`, name).Scan(&open)
		if err == nil && !open {
			return nil
		}
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("look for the template: %w", err)
		}
		owner, err := roleOf(s.Application)
		if err != nil {
			return err
		}
		for _, sql := range []string{
			`DROP DATABASE IF EXISTS ` + name + ` WITH (FORCE)`,
			`CREATE DATABASE ` + name + ` OWNER ` + owner + ` TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
		} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return fmt.Errorf("make the template's database: %w", err)
			}
		}
		if err := up(ctx, withDatabase(s.Application, "/"+name)); err != nil {
			return fmt.Errorf("migrate the template: %w", err)
		}
		if _, err := conn.Exec(ctx, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`); err != nil {
			return fmt.Errorf("close the template: %w", err)
		}
		return nil
	})
}

// locked runs f while conn holds the lock. A process that dies over it drops the lock with its connection.
func locked(ctx context.Context, conn *pgx.Conn, f func() error) error {
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(templateLock)); err != nil {
		return fmt.Errorf("wait for other test binaries: %w", err)
	}
	err := f()
	_, unlockErr := conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, int64(templateLock))
	return errors.Join(err, unlockErr)
}
