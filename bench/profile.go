package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
)

// profiles are the files that a process writes its profiles to when it ends. Empty: none.
type profiles struct{ processor, memory string }

// start begins to record; stop writes what was recorded.
func (p profiles) start() (stop func() error, err error) {
	var recording *os.File
	if p.processor != "" {
		if recording, err = os.Create(p.processor); err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(recording); err != nil {
			return nil, err
		}
	}
	return func() error {
		var err error
		if recording != nil {
			pprof.StopCPUProfile()
			err = recording.Close()
		}
		return errors.Join(err, p.writeMemory())
	}, nil
}

func (p profiles) writeMemory() error {
	if p.memory == "" {
		return nil
	}
	f, err := os.Create(p.memory)
	if err != nil {
		return err
	}
	runtime.GC() // the profile is of what was allocated up to the last collection
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}

// serverProfiles is what ourself writes when it is started as a server. There are several of those in a run: each has a
// number behind the name.
var (
	serverProfiles profiles
	serversStarted int
)

// ourself is this program once more, as a server; with a database, from the notification log that is in there.
func ourself(databaseURL string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	serversStarted++
	numbered := func(file string) string {
		if file != "" {
			file = fmt.Sprintf("%s.%d", file, serversStarted)
		}
		return file
	}
	return exec.Command(self, "-fanout-server", "-fanout-database="+databaseURL, //nolint:noctx // it is interrupted, not killed
		"-cpuprofile="+numbered(serverProfiles.processor), "-memprofile="+numbered(serverProfiles.memory)), nil
}
