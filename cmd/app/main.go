// Command app is Orderlog: the server, and the tools around it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `Usage: app [COMMAND]

  serve                 run the server (also without a command)
  migrate up|status     bring the database's schema up to date, or show where it stands
  token --user ID --role customer|admin|delivery [--name N] [--ttl 24h]
                        print a token signed with JWT_SECRET
  listen [--url U] [--token T] [--last-seq N] [--room order:ID]
                        print what a client is sent, one JSON object a line; comes back by itself when cut off
  simulate [--url U] [--orders 100] [--rate 20] [--clients 50] [--drop 0.1] [--seed 1]
                        drive a running server with an evening of orders, and prove that its clients missed nothing
  version               print the version

Settings come from the environment; see the README.
`

// environment is what a command may touch of the world.
type environment struct {
	getenv         func(string) string
	stdout, stderr io.Writer
}

// usageError is a mistake on the command line.
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

// helpAsked is no mistake: a command was asked for its usage.
type helpAsked struct{ hint string }

func (e helpAsked) Error() string { return "usage: app " + e.hint }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "app:", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	os.Exit(exitCode(err))
}

// exitCode is 0 for success, 2 for a mistake on the command line, 1 for any other failure.
func exitCode(err error) int {
	var wrong usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		return 2
	}
	return 1
}

// run carries out one command. It returns when the command is done or ctx ends.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	err := carryOut(ctx, args, environment{getenv: getenv, stdout: stdout, stderr: stderr})
	var help helpAsked
	if errors.As(err, &help) {
		_, err = fmt.Fprintln(stdout, help)
	}
	return err
}

func carryOut(ctx context.Context, args []string, env environment) error {
	name := "serve"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "serve":
		return serve(ctx, env, args)
	case "migrate":
		return migrate(ctx, env, args)
	case "token":
		return token(env, args)
	case "listen":
		return listen(ctx, env, args)
	case "simulate":
		return simulate(ctx, env, args)
	case "version":
		return printVersion(env, args)
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(env.stdout, usage)
		return err
	}
	return usageError{fmt.Sprintf("there is no command %q; app help lists them", name)}
}

// parse reads a command's flags; words is what must follow them, for the error.
func parse(flags *flag.FlagSet, args []string, words int, hint string) error {
	flags.SetOutput(io.Discard)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return helpAsked{hint}
	} else if err != nil {
		return usageError{fmt.Sprintf("%v; usage: app %s", err, hint)}
	}
	if flags.NArg() != words {
		return usageError{"usage: app " + hint}
	}
	return nil
}
