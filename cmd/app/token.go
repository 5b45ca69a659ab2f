package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/config"
)

const tokenUsage = "token --user ID --role customer|admin|delivery [--name N] [--ttl 24h]" //nolint:gosec // a usage line, no credentials

// token prints a token, for trying things out and for machines that have no other way to get one.
func token(env environment, args []string) error {
	flags := flag.NewFlagSet("token", flag.ContinueOnError)
	user := flags.String("user", "", "")
	role := flags.String("role", "", "")
	name := flags.String("name", "", "")
	ttl := flags.Duration("ttl", 24*time.Hour, "")
	if err := parse(flags, args, 0, tokenUsage); err != nil {
		return err
	}
	if err := domain.CheckLine("--user", *user, 1, domain.MaxUserID); err != nil {
		return usageError{fmt.Sprintf("--user is 1 to %d characters of text; usage: app %s", domain.MaxUserID, tokenUsage)}
	}
	parsed, err := domain.ParseRole(*role)
	if err != nil {
		return usageError{fmt.Sprintf("--role: %v; usage: app %s", err, tokenUsage)}
	}
	if *ttl <= 0 {
		return usageError{"--ttl is a time such as 24h or 90s, more than 0; usage: app " + tokenUsage}
	}
	cfg, err := config.Load(env.getenv)
	if err != nil {
		return err
	}
	if cfg, err = config.EnsureSecrets(cfg); err != nil {
		return err
	}
	if len(cfg.JWTSecret) == 0 {
		return errors.New("there is no JWT_SECRET to sign with: the tokens are those of JWT_JWKS_URL's issuer; ask it for one")
	}
	signed, err := auth.Config{
		Secret: cfg.JWTSecret, Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience,
	}.Sign(auth.Identity{
		UserID: *user, Role: parsed, Name: *name, ExpiresAt: time.Now().Add(*ttl),
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.stdout, signed)
	return err
}
