package proofs_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/replay/proofs"
)

const (
	noteA = "orderlog/0198c0de-0000-7000-8000-000000000001\n5\nAAAA\nat x\n\n— orderlog c2ln\n"
	noteB = "orderlog/0198c0de-0000-7000-8000-000000000001\n9\nBBBB\nat x\n\n— orderlog c2ln\n— witness c2ln\n"
)

// describe writes a file's parts as a word each.
func describe(parts []proofs.Part) string {
	var words []string
	for _, p := range parts {
		switch {
		case p.Note == noteA:
			words = append(words, "A")
		case p.Note == noteB:
			words = append(words, "B")
		case p.Note != "":
			words = append(words, "note")
		case p.Torn:
			words = append(words, "torn")
		default:
			words = append(words, "bad")
		}
	}
	return strings.Join(words, " ")
}

func TestAFileOfCheckpointsIsTakenApart(t *testing.T) {
	t.Parallel()
	unsigned := strings.Split(noteA, "\n\n")[0] + "\n"
	for name, c := range map[string]struct{ file, want string }{
		"nothing":                             {"", ""},
		"empty lines":                         {"\n\n", ""},
		"two notes":                           {noteA + noteB, "A B"},
		"with empty lines between":            {"\n" + noteA + "\n\n" + noteB + "\n", "A B"},
		"cut in the origin":                   {noteA + noteB[:4], "A torn"},
		"cut after the origin":                {noteA + noteB[:46], "A torn"},
		"cut in the signature":                {noteA + noteA[:len(noteA)-3], "A torn"},
		"cut before the line break":           {noteA + noteA[:len(noteA)-1], "A torn"},
		"cut before the signature":            {noteA + unsigned, "A torn"},
		"cut in a second signature":           {noteA + noteB[:len(noteB)-2], "A note bad"},
		"a note without signature":            {unsigned + noteB, "bad B"},
		"an empty line too many":              {unsigned + "\n\n— orderlog c2ln\n" + noteB, "bad B"},
		"a signature without an empty line":   {unsigned + "— orderlog c2ln\n" + noteB, "bad B"},
		"text where a signature should be":    {unsigned + "\nsigned: me\n" + noteB, "bad B"},
		"something before":                    {"hello\nworld\n" + noteA, "bad A"},
		"something between":                   {noteA + "hello\n" + noteB, "A bad B"},
		"something behind":                    {noteA + "hello\n", "A bad"},
		"something behind without line break": {noteA + "hello", "A bad"},
		"a line that is too long":             {noteA + strings.Repeat("x", 1<<20) + "\n" + noteB, "A bad B"},
		"an origin that is too long":          {noteA + "orderlog/" + strings.Repeat("x", 1<<20) + "\n" + noteB, "A bad B"},
		"a line of a note that is too long":   {unsigned + strings.Repeat("x", 1<<20) + "\n" + noteB, "bad B"},
		"a note that is too long":             {unsigned + strings.Repeat("x\n", proofs.MaxNote) + "\n" + noteB, "bad B"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parts, err := proofs.ReadNotes(strings.NewReader(c.file))
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(parts); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func FuzzReadNotes(f *testing.F) {
	f.Add([]byte(noteA + noteB))
	f.Add([]byte(noteA + "hello\n" + noteB[:len(noteB)-1]))
	f.Add([]byte("\n\n— orderlog c2ln\norderlog/\n\n— \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parts, err := proofs.ReadNotes(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		end := int64(0)
		for i, p := range parts {
			if p.Offset < end || p.End <= p.Offset || p.End > int64(len(data)) {
				t.Fatalf("part %d is at %d to %d, behind %d", i, p.Offset, p.End, end)
			}
			if len(bytes.Trim(data[end:p.Offset], "\n")) > 0 {
				t.Fatalf("bytes %d to %d are in no part", end, p.Offset)
			}
			if p.Note != "" && (p.Note != string(data[p.Offset:p.End]) || len(p.Note) > proofs.MaxNote) {
				t.Fatalf("the note of part %d is not what stands there", i)
			}
			if p.Torn && (i != len(parts)-1 || p.End != int64(len(data))) {
				t.Fatalf("part %d is torn and not the end", i)
			}
			end = p.End
			_, _, _ = proofs.ReadCheckpoint(p.Note)
		}
		if len(bytes.Trim(data[end:], "\n")) > 0 {
			t.Fatalf("what is behind %d is in no part", end)
		}
	})
}

func TestACheckpointSaysWhatWasSigned(t *testing.T) {
	t.Parallel()
	key, public := newKey(t)
	signer, err := note.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	log, root := uuid.New().String(), tlog.RecordHash([]byte("x")).String()
	open := func(text string) (tlog.Tree, time.Time, error) {
		raw, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			t.Fatal(err)
		}
		return proofs.ReadCheckpoint(string(raw), public)
	}
	at := time.Date(2026, 11, 23, 18, 30, 0, 120_000, time.UTC)
	tree, when, err := open("orderlog/" + log + "\n42\n" + root + "\nat 2026-11-23T18:30:00.000120Z\n")
	if err != nil || tree.N != 42 || tree.Hash.String() != root || !when.Equal(at) {
		t.Fatalf("%v %v %v", tree, when, err)
	}
	if _, _, err := open("orderlog/" + log + "\n42\n" + root + "\nsomething that a later version adds\n"); err != nil {
		t.Errorf("a line that is not known is refused: %v", err)
	}
	for name, text := range map[string]string{
		"another origin":         "go.sum database tree\n42\n" + root + "\n",
		"a log that is none":     "orderlog/me\n42\n" + root + "\n",
		"a log in large letters": "orderlog/" + strings.ToUpper(log) + "\n42\n" + root + "\n",
		"no size":                "orderlog/" + log + "\nx\n" + root + "\n",
		"a size of nothing":      "orderlog/" + log + "\n0\n" + root + "\n",
		"a size below":           "orderlog/" + log + "\n-1\n" + root + "\n",
		"a size with a zero":     "orderlog/" + log + "\n042\n" + root + "\n",
		"no root":                "orderlog/" + log + "\n42\n",
		"a short root":           "orderlog/" + log + "\n42\nAAAA\n",
		"a time that is none":    "orderlog/" + log + "\n42\n" + root + "\nat noon\n",
	} {
		if _, _, err := open(text); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestAPublicKeyIsDerivedFromTheSecretOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		key, public, err := proofs.GenerateKey()
		if err != nil {
			r.Fatal(err)
		}
		if got, err := proofs.PublicKey(key); err != nil || got != public {
			r.Fatalf("%s, %v; want %s", got, err, public)
		}
	})
	key, _ := newKey(t)
	for _, bad := range []string{"", "x", "PRIVATE+KEY+orderlog+00000000+AAAA", key[:len(key)-4], "+" + key} {
		if _, err := proofs.PublicKey(bad); err == nil {
			t.Errorf("%q is taken for a key", bad)
		} else if strings.Contains(err.Error(), "AAAA") {
			t.Error("the error has the key in it")
		}
	}
	if _, err := proofs.Open(proofs.Config{Key: "x"}); err == nil {
		t.Error("a notary with a key that is none was opened")
	}
	if _, err := proofs.Open(proofs.Config{Trusted: []string{"x"}}); err == nil {
		t.Error("a notary that trusts a key that is none was opened")
	}
}
