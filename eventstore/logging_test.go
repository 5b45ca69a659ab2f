package eventstore

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
)

func TestWhatAStopBreaksOffIsNoAlarm(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	stop := make(chan struct{})
	log := slogAdapter(slog.New(slog.NewTextHandler(&said, nil)), stop).With(watermill.LogFields{"group": "feed"})
	log.Info("started", nil)
	log.Error("could not commit", errors.New("before"), nil)
	close(stop)
	log.Error("could not commit", errors.New("behind"), nil)
	if got := said.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "before") {
		t.Errorf("logged %s", got)
	}
}
