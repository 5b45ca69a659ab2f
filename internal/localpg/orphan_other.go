//go:build !linux

package localpg

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
)

// serves reports whether a process is a server on the cluster in data.
func serves(ctx context.Context, pid int, data string) bool {
	out, err := exec.CommandContext(ctx, "ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
	if err != nil {
		return false
	}
	// ps joins arguments by blanks, so a path with a blank has to be cut out of the line.
	line := strings.TrimSpace(string(out))
	program, rest, _ := strings.Cut(line, " -D ")
	if path, _, ok := strings.Cut(rest+" -c ", " -c "); ok {
		return isServer([]string{program, "-D", strings.TrimSpace(path)}, data)
	}
	return false
}
