package cluster

import (
	"encoding/binary"
	"testing"
)

// startup is the first message of a client, which has no type.
func startup() []byte {
	m := binary.BigEndian.AppendUint32(nil, 12)
	m = binary.BigEndian.AppendUint32(m, 196608)
	return append(m, "abc\x00"...)
}

func message(kind byte, body string) []byte {
	m := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return append(m, body...)
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestConnectionsAreCutAtCommitsAndNowhereElse(t *testing.T) {
	t.Parallel()
	var (
		prepare  = join(message('P', "c\x00COMMIT\x00\x00\x00"), message('S', ""))
		write    = join(message('P', "w\x00INSERT INTO events\x00\x00\x00"), message('B', "\x00w\x00"), message('E', "\x00\x00\x00\x00\x00"))
		commit   = join(message('B', "\x00c\x00"), message('E', "\x00\x00\x00\x00\x00"))
		sync     = message('S', "")
		simple   = message('Q', "commit\x00")
		harmless = message('Q', "SELECT 'commit'\x00")
		call     = join(message('P', "a\x00SELECT head FROM append_events_2($1)\x00\x00\x00"), message('B', "\x00a\x00"), message('E', "\x00\x00\x00\x00\x00"))
	)
	for name, c := range map[string]struct {
		sent    [][]byte
		before  []byte // what gets through of the last of them when it is cut before a commit
		commits bool
	}{
		"a batch that ends with COMMIT":               {[][]byte{prepare, join(write, commit, sync)}, write, true},
		"a COMMIT of its own":                         {[][]byte{simple}, nil, true},
		"a call that is a transaction of its own":     {[][]byte{join(call, sync)}, call, true},
		"a batch without COMMIT":                      {[][]byte{prepare, join(write, sync)}, join(write, sync), false},
		"a text that has the word in it":              {[][]byte{harmless}, harmless, false},
		"a statement that was prepared and is unused": {[][]byte{prepare}, prepare, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			last := c.sent[len(c.sent)-1]
			for _, at := range []cutAt{nowhere, beforeCommit, afterCommit} {
				g := &gate{at: nowhere}
				l := &link{gate: g}
				for _, earlier := range append([][]byte{startup()}, c.sent[:len(c.sent)-1]...) {
					if pass, cut := l.toServer(earlier); string(pass) != string(earlier) || cut {
						t.Fatalf("what came before was changed to %q, cut %t", pass, cut)
					}
				}
				g.at, g.seen = at, everyCommit-1
				var pass []byte
				cut := false
				for i := range last { // in as many pieces as can be
					p, ends := l.toServer(last[i : i+1])
					pass = append(pass, p...)
					if ends {
						cut = true
						break
					}
				}
				want, wantCut := last, false
				if at == beforeCommit {
					want, wantCut = c.before, c.commits
				}
				if string(pass) != string(want) || cut != wantCut {
					t.Errorf("at %d: passed on %q, cut %t; want %q, %t", at, pass, cut, want, wantCut)
				}
				if deaf := l.deaf.Load(); deaf != (c.commits && at == afterCommit) {
					t.Errorf("at %d: the client hears nothing more: %t", at, deaf)
				}
			}
		})
	}
}

func TestEachSecondClientIsCutOffWithoutWaitingForTheCommit(t *testing.T) {
	t.Parallel()
	g := &gate{at: afterCommit}
	var seen []bool
	for range 2 * everyCommit {
		if at, atOnce := g.decide(); at == afterCommit {
			seen = append(seen, atOnce)
		} else if at != nowhere {
			t.Errorf("cut at %d", at)
		}
	}
	if len(seen) != 2 || seen[0] || !seen[1] {
		t.Errorf("cut at once: %v, want false and true", seen)
	}
	if cut := g.set(nowhere); cut != 2 {
		t.Errorf("%d were cut", cut)
	}
}
