// Command app is Orderlog: the server, and the tools around it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `Usage: app [COMMAND]

  serve                 run the server (also without a command)
  migrate up|status|grant ROLE
                        bring the database's schema up to date, show where it stands, or let a role run nodes on it
  token --user ID --role customer|admin|delivery [--name N] [--ttl 24h]
                        print a token signed with JWT_SECRET
  listen [--url U] [--token T] [--last-seq N] [--room order:ID]
                        print what a client is sent, one JSON object a line; comes back by itself when cut off
  simulate [--url U] [--orders 100] [--rate 20] [--clients 50] [--drop 0.1] [--seed 1]
                        drive a running server with an evening of orders, and prove that its clients missed nothing
  audit history ORDER [--at TIME | --seq N] [--diff] [--all] [--json]
                        everything that happened to an order, or the order as it stood at a moment
  audit export [--from N] [--to N] [--type T] [--stream S] [--actor U] [--since T] [--until T] [--format ndjson|csv]
                        the events, one a line
  audit verify [--json] check the whole log: by itself, with its tree and with the exported checkpoints
  audit bundle ORDER [--out FILE [--force]]
                        one file with an order's events and what proves them
  audit verify-bundle FILE [--key FILE_OR_KEY] [--json]
                        check such a file; needs no database and no settings
  audit key [--new]     print the public key that checkpoints are signed with, or make a new key
  projections status [--json]
                        how far each projection is, and what stops it
  projections rebuild NAME [--dry-run] [--restart] [--json]
                        derive a read model anew beside the live one, compare the two, and put it in its place
  version               print the version

Each says more with --help. Settings come from the environment; see the README.
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
	context.AfterFunc(ctx, stop) // who asks a second time does not want to wait: the signal ends the program
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
	case "audit":
		return dispatch(ctx, env, "audit", auditCommands(), args)
	case "projections":
		return dispatch(ctx, env, "projections", projectionsCommands(), args)
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

// subcommand is a command of a command, such as "history" of audit.
type subcommand struct {
	usage string // from the command's name on, on one line
	help  string // what it does and what its flags mean
	run   func(ctx context.Context, env environment, c subcommand, args []string) error
}

// dispatch carries out one of a command's own commands.
func dispatch(ctx context.Context, env environment, command string, commands []subcommand, args []string) error {
	var names, usages []string
	for _, c := range commands {
		name := strings.Fields(c.usage)[1]
		if len(args) > 0 && args[0] == name {
			return ended(ctx, c.run(ctx, env, c, args[1:]))
		}
		names, usages = append(names, name), append(usages, "  app "+c.usage)
	}
	hint := command + " " + strings.Join(names, "|")
	if len(args) == 0 {
		return usageError{"usage: app " + hint + "; app " + command + " --help says more"}
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return helpAsked{hint + "\n\n" + strings.Join(usages, "\n") + "\n\nEach says more with --help."}
	}
	return usageError{fmt.Sprintf("there is no command %q; usage: app %s", command+" "+args[0], hint)}
}

var errOutputClosed = errors.New("stopped: who read the output has closed it")

// ended is how a command ended, in words for what ended it from outside.
func ended(ctx context.Context, err error) error {
	var file *fs.PathError // not the database's connection
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return errors.New("stopped")
	case errors.Is(err, syscall.EPIPE) && errors.As(err, &file):
		return errOutputClosed
	}
	return err
}

// parse reads flags that stand before, between or after the words, and returns the words, of which there must be so many.
func (c subcommand) parse(flags *flag.FlagSet, args []string, words int) ([]string, error) {
	flags.SetOutput(io.Discard)
	flags.VisitAll(func(f *flag.Flag) { f.Value = strictly(f.Value) })
	var found []string
	for {
		err := flags.Parse(args)
		switch {
		case errors.Is(err, flag.ErrHelp):
			return nil, helpAsked{c.usage + "\n\n" + strings.TrimSpace(c.help)}
		case err != nil:
			return nil, c.wrong("%v", err)
		}
		rest := flags.Args()
		if n := len(args) - len(rest); len(rest) == 0 || (n > 0 && args[n-1] == "--") {
			found = append(found, rest...)
			break
		}
		found, args = append(found, rest[0]), rest[1:]
	}
	if len(found) != words {
		return nil, usageError{"usage: app " + c.usage}
	}
	return found, nil
}

var (
	errEmptyFlag = errors.New("it is empty: give a value, or leave the flag out")
	errTwice     = errors.New("it was given before: give it once")
)

// several is a flag that may come several times.
type several func(string) error

func (several) String() string       { return "" }
func (f several) Set(s string) error { return f(s) }

// strictFlag refuses the empty value that a script's unset variable makes, which else would select everything, and a
// second value, which else would replace the first in silence.
type strictFlag struct {
	flag.Value
	set bool
}

// strictly makes a flag strict, unless it has no value.
func strictly(v flag.Value) flag.Value {
	if b, ok := v.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
		return v
	}
	return &strictFlag{Value: v}
}

func (f *strictFlag) Set(s string) error {
	_, repeats := f.Value.(several)
	switch {
	case strings.TrimSpace(s) == "":
		return errEmptyFlag
	case f.set && !repeats:
		return errTwice
	}
	f.set = true
	return f.Value.Set(s)
}

// wrong is a mistake on the command line, with the usage.
func (c subcommand) wrong(format string, args ...any) error {
	return usageError{fmt.Sprintf(format, args...) + "; usage: app " + c.usage}
}
