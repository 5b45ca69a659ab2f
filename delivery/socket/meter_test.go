package socket

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestAMeterLetsSoManyPass(t *testing.T) {
	t.Parallel()
	var m Meter
	now := time.Now()
	for i := range 3 {
		if !m.Allow(now, 3, time.Second) {
			t.Errorf("%d is too many", i)
		}
	}
	if m.Allow(now.Add(time.Second-1), 3, time.Second) {
		t.Error("a fourth passes")
	}
	if !m.Allow(now.Add(time.Second), 3, time.Second) {
		t.Error("nothing passes any more")
	}
}

func TestFramesWithoutEndEndTheReading(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ before, each []byte }{
		"pings":          {nil, frame(0x89, "p")},
		"pongs":          {nil, frame(0x8A, "")},
		"parts":          {frame(0x01, ""), frame(0x00, "")},
		"pings in parts": {frame(0x01, ""), frame(0x89, "p")},
	} {
		c := read(bytes.NewReader(join(tc.before, bytes.Repeat(tc.each, maxFrames+1))))
		_, body, err := c.NextReader()
		if err == nil {
			_, err = io.ReadAll(body)
		}
		if !errors.Is(err, ErrTooManyFrames) || !IsProtocolError(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := read(bytes.NewReader(bytes.Repeat(frame(0x81, "a"), 2*maxFrames))) // messages are counted by others
	for i := range 2 * maxFrames {
		if _, _, err := c.NextReader(); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

// dripping gives a byte a second.
type dripping struct{ io.Reader }

func (d dripping) Read(p []byte) (int, error) {
	<-time.After(time.Second)
	return d.Reader.Read(p[:1])
}

func TestAMessageThatDripsEndsTheReading(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string][]byte{
		"in one frame": frame(0x81, "0123456789 0123456789 0123456789 0123456789"),
		"in parts":     join(frame(0x01, ""), bytes.Repeat(frame(0x00, "a"), 20)),
	} {
		synctest.Test(t, func(t *testing.T) {
			c := read(dripping{bytes.NewReader(sent)})
			began := time.Now()
			_, body, err := c.NextReader()
			if err == nil {
				_, err = io.ReadAll(body)
			}
			if took := time.Since(began); !errors.Is(err, errSlowMessage) || took > 2*messageTime {
				t.Errorf("%s: %v after %s", name, err, took)
			}
		})
	}
}
