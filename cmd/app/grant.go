package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/migrations"
)

const grantUsage = "migrate grant ROLE"

// grant lets a role run nodes on the database, and nothing beyond that. It works as the owner of the tables.
func grant(ctx context.Context, env environment, args []string) (err error) {
	flags := flag.NewFlagSet("grant", flag.ContinueOnError)
	if err := parse(flags, args, 1, grantUsage); err != nil {
		return err
	}
	cfg, err := config.LoadWithoutKeys(env.getenv)
	if err != nil {
		return err
	}
	db, err := attachDatabase(ctx, cfg, cfg.Logger(env.stderr))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close(ctx)) }()
	role := flags.Arg(0)
	if err := migrations.Grant(ctx, db.url, role); err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "role %q may run nodes: set their DATABASE_URL to it, and grant again after each app migrate up\n", role)
	return err
}
