package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/migrations"
)

const migrateUsage = "migrate up|status|grant ROLE"

func migrate(ctx context.Context, env environment, args []string) (err error) {
	if len(args) > 0 && args[0] == "grant" {
		return grant(ctx, env, args[1:])
	}
	flags := flag.NewFlagSet("migrate", flag.ContinueOnError)
	if err := parse(flags, args, 1, migrateUsage); err != nil {
		return err
	}
	what := flags.Arg(0)
	if what != "up" && what != "status" {
		return usageError{"usage: app " + migrateUsage}
	}
	cfg, err := config.LoadWithoutKeys(env.getenv)
	if err != nil {
		return err
	}
	log := cfg.Logger(env.stderr)
	db, err := openDatabase(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close(ctx)) }()
	if what == "up" {
		if err := migrations.UpTelling(ctx, db.url, func(why string) { log.Warn("waiting", "why", why) }); err != nil {
			return err
		}
	}
	status, err := migrations.ReadStatus(db.url)
	if err != nil {
		return err
	}
	state := "up to date"
	switch {
	case status.Dirty:
		state = "a migration stopped half-way: repair the schema by hand, then set dirty to false in schema_migrations"
	case status.Version < status.Latest:
		state = "run: app migrate up"
	case status.Version > status.Latest:
		state = "the database is newer than this program: run the newer program"
	}
	_, err = fmt.Fprintf(env.stdout, "version %d of %d: %s\n", status.Version, status.Latest, state)
	return err
}
