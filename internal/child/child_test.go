package child

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asParent has the test's program start a child that ends by itself only after a long while, say which, and be killed.
const asParent = "CHILD_TEST_AS_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(asParent) != "" {
		p, err := Start(exec.Command("sleep", "600"), syscall.SIGKILL)
		if err != nil {
			panic(err)
		}
		_, _ = os.Stdout.WriteString(strconv.Itoa(p.PID()) + "\n")
		<-p.Done()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestAProcessRunsUntilItIsEnded(t *testing.T) {
	t.Parallel()
	p, err := Start(exec.Command("sleep", "600"), syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Alive() || p.Await(0) || p.PID() <= 0 {
		t.Errorf("alive %v, ended %v, process %d", p.Alive(), p.Await(0), p.PID())
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if !p.Await(time.Minute) || p.Alive() {
		t.Fatal("it does not end")
	}
	if got, ok := p.State().Sys().(syscall.WaitStatus); !ok || got.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %s", p.State())
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a signal to one that has ended: %v", err)
	}
	p.Kill() // does nothing
}

func TestWhatDoesNotStartIsAnError(t *testing.T) {
	t.Parallel()
	if p, err := Start(exec.Command("/nowhere/to/be/found"), syscall.SIGKILL); err == nil {
		t.Errorf("process %d was started", p.PID())
	}
}
