package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/internal/simulation"
)

const simulateUsage = "simulate [--url U] [--orders 100] [--rate 20] [--clients 50] [--couriers N] [--drop 0.1] [--seed 1]"

// simulate drives a running server with an evening of orders, and proves that its clients missed nothing.
func simulate(ctx context.Context, env environment, args []string) error {
	s := simulation.Config{Progress: env.stderr}
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.StringVar(&s.URL, "url", "", "")
	flags.IntVar(&s.Orders, "orders", 100, "")
	flags.Float64Var(&s.Rate, "rate", 20, "")
	flags.IntVar(&s.Clients, "clients", 50, "")
	flags.IntVar(&s.Couriers, "couriers", 0, "")
	flags.Float64Var(&s.Drop, "drop", 0.1, "")
	flags.Uint64Var(&s.Seed, "seed", 1, "")
	if err := parse(flags, args, 0, simulateUsage); err != nil {
		return err
	}
	if err := checkSimulation(s); err != nil {
		return usageError{err.Error() + "; usage: app " + simulateUsage}
	}
	cfg, err := config.Load(env.getenv)
	if err != nil {
		return err
	}
	if s.URL, err = serverURL(s.URL, cfg); err != nil {
		return err
	}
	if err := canSign(cfg); err != nil {
		return err
	}
	// Asked before any secret is made: where no server is, none would take what is signed with it.
	if err := simulation.Reachable(ctx, s.URL); err != nil {
		return err
	}
	if cfg, err = config.EnsureSecrets(cfg); err != nil {
		return err
	}
	s.Sign = auth.Config{Secret: cfg.JWTSecret, Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience}.Sign
	s.WebhookSecret = cfg.PaymentWebhookSecret
	if f, ok := env.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if s.Width, _, err = term.GetSize(int(f.Fd())); err != nil || s.Width < 20 {
			s.Width = 80
		}
	}
	report, err := simulation.Run(ctx, s)
	if report == nil {
		return err
	}
	if wrote := report.Write(env.stdout); err == nil {
		err = wrote
	}
	if err == nil {
		err = report.Err()
	}
	return err
}

func checkSimulation(s simulation.Config) error {
	switch {
	case s.Orders < 1 || s.Orders > simulation.MaxOrders:
		return fmt.Errorf("--orders is 1 to %d", simulation.MaxOrders)
	case !(s.Rate >= 0 && s.Rate <= 10_000):
		return errors.New("--rate is orders a second, up to 10000, or 0 for as fast as possible")
	case s.Clients < 1 || s.Clients > simulation.MaxClients:
		return fmt.Errorf("--clients is 1 to %d", simulation.MaxClients)
	case s.Couriers < 0 || s.Couriers > simulation.MaxClients:
		return fmt.Errorf("--couriers is 1 to %d, or 0 for as many as are needed", simulation.MaxClients)
	case !(s.Drop >= 0 && s.Drop <= 1):
		return errors.New("--drop is a share from 0 to 1")
	}
	return nil
}

// canSign says which secret is neither given nor going to be found in DATA_DIR.
func canSign(cfg config.Config) error {
	switch {
	case len(cfg.JWTSecret) == 0 && (cfg.JWKSURL != "" || !cfg.Embedded()):
		return errors.New("there is no JWT_SECRET to sign with, and the simulation makes its users' tokens itself: set it as the server has it")
	case len(cfg.PaymentWebhookSecret) == 0 && !cfg.Embedded():
		return errors.New("there is no PAYMENT_WEBHOOK_SECRET to sign with, and the simulation is the payment provider: set it as the server has it")
	}
	return nil
}

// serverURL is the address that --url gives, or that of HOST and PORT.
func serverURL(given string, cfg config.Config) (string, error) {
	if given == "" {
		if cfg.Port == 0 {
			return "", usageError{"with PORT=0 only the server knows its port: give --url; usage: app " + simulateUsage}
		}
		return "http://" + cfg.Addr(), nil
	}
	u, err := url.Parse(given)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", usageError{"--url is a server's address such as http://127.0.0.1:5000; usage: app " + simulateUsage}
	}
	return u.Scheme + "://" + u.Host, nil
}
