package check

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"time"
)

// verifications are what the program can find out by itself.
var verifications = [][]string{
	{"projections", "rebuild", "views", "--dry-run"},
	{"projections", "rebuild", "feed", "--dry-run"},
	{"audit", "verify"},
}

const verificationTimeout = 3 * time.Minute

// verify runs the program's own verifications, one after another. The nodes may go on meanwhile.
func verify(ctx context.Context, o Options, f *findings) {
	for _, args := range verifications {
		f.look(ruleProgram)
		limited, cancel := context.WithTimeout(ctx, verificationTimeout)
		cmd := exec.CommandContext(limited, o.Program, args...) //nolint:gosec // the program is what is tested
		cmd.Env = o.Env
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		cancel()
		if err != nil {
			f.add(ruleProgram, "app %s: %v: %s", strings.Join(args, " "), err, newest(out.String()))
		}
	}
}

// newest are the last lines of an output.
func newest(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}
