package localpg

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// serves reports whether a process is a server on the cluster in data. A process that has ended but was not yet collected
// by its parent has no command line, and so is none.
func serves(_ context.Context, pid int, data string) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return false
	}
	return isServer(strings.Split(strings.TrimRight(string(line), "\x00"), "\x00"), data)
}
