package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestAServerThatDoesNotStartIsAnError(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]*exec.Cmd{
		"it is not there":    exec.CommandContext(t.Context(), "./there-is-no-such-peer"),
		"it ends at once":    exec.CommandContext(t.Context(), "true"),
		"it fails":           exec.CommandContext(t.Context(), "false"),
		"it says other than": exec.CommandContext(t.Context(), "echo", "listening, somewhere"),
	} {
		if s, err := startServer("peer", bareProtocol{}, command); err == nil {
			s.stop()
			t.Errorf("%s: it is taken for a server at %s", name, s.address)
		}
	}
}

func TestAPeerThatIsNotThereCanNotBeBuilt(t *testing.T) {
	t.Parallel()
	t.Cleanup(closeWorkshop)
	if _, err := startPeer(t.Context(), "there-is-none", bareProtocol{}); err == nil || !strings.Contains(err.Error(), "build there-is-none") {
		t.Errorf("it came to %v", err)
	}
}
