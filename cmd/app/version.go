package main

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the program's: that of the module it was built from, and the commit if the build knew it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "dev"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v += " " + s.Value
		}
	}
	return v
}

func printVersion(env environment, args []string) error {
	if err := parse(flag.NewFlagSet("version", flag.ContinueOnError), args, 0, "version"); err != nil {
		return err
	}
	_, err := fmt.Fprintf(env.stdout, "orderlog %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
