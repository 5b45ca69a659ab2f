package proofs

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// The text of a checkpoint is that of a C2SP tlog-checkpoint, with one extension line:
//
//	orderlog/LOG-ID
//	SIZE
//	ROOT in base64
//	at TIME of the newest event in it
//
// An empty line and the lines of the signatures follow.
const (
	origin    = "orderlog/"
	atLine    = "at "
	timeOf    = "2006-01-02T15:04:05.000000Z"
	signature = "— "
)

var (
	errNotCheckpoint = errors.New("it is not a checkpoint")
	errUnknownKey    = errors.New("it is signed by a key that is not known")
	errSignature     = errors.New("its signature is wrong: it was changed")
)

// signed is a checkpoint whose signature is good.
type signed struct {
	log uuid.UUID
	tlog.Tree
	at   time.Time // zero: it does not say
	note string
	key  string // the verifier key of who signed it
}

func checkpointText(log uuid.UUID, tree tlog.Tree, at time.Time) string {
	return fmt.Sprintf("%s%s\n%d\n%s\n%s%s\n", origin, log, tree.N, tree.Hash, atLine, at.UTC().Format(timeOf))
}

// parseText reads the text of a checkpoint; extension lines that it does not know are ignored.
func parseText(text string) (signed, error) {
	var s signed
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 {
		return s, errNotCheckpoint
	}
	log, ours := strings.CutPrefix(lines[0], origin)
	var err error
	if s.log, err = parseUUID(log); err != nil || !ours {
		return s, fmt.Errorf("%w: its first line is no log's", errNotCheckpoint)
	}
	if s.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil || s.N < 1 || strconv.FormatInt(s.N, 10) != lines[1] {
		return s, fmt.Errorf("%w: its second line is no size", errNotCheckpoint)
	}
	if s.Hash, err = parseHash(lines[2]); err != nil {
		return s, fmt.Errorf("%w: its third line is no root", errNotCheckpoint)
	}
	for _, line := range lines[3:] {
		if at, ok := strings.CutPrefix(line, atLine); ok {
			if s.at, err = time.Parse(timeOf, at); err != nil {
				return s, fmt.Errorf("%w: the line %q has no time", errNotCheckpoint, line)
			}
		}
	}
	return s, nil
}

// open checks the signatures of a note and returns its text, and the verifier key of the first that is good. The error
// wraps errUnknownKey, errSignature or errNotCheckpoint.
func (k keyring) open(raw string) (text, key string, err error) {
	n, err := note.Open([]byte(raw), k.verifiers)
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		s := unverified.Note.UnverifiedSigs[0]
		return unverified.Note.Text, "", fmt.Errorf("%w (%s+%08x)", errUnknownKey, s.Name, s.Hash)
	case errors.As(err, &invalid):
		return "", "", fmt.Errorf("%w (key %s+%08x)", errSignature, invalid.Name, invalid.Hash)
	case err != nil:
		return "", "", errNotCheckpoint
	}
	return n.Text, k.by(n.Sigs[0]), nil
}

// checkpoint reads a signed checkpoint. When the signature is not good it still returns what the text claims, if that
// can be read.
func (k keyring) checkpoint(raw string) (signed, error) {
	text, key, err := k.open(raw)
	if err != nil && text == "" {
		text, _, _ = strings.Cut(raw, "\n\n")
	}
	s, parseErr := parseText(text)
	s.note, s.key = raw, key
	if err == nil {
		err = parseErr
	}
	return s, err
}

// sign makes a note of a text.
func sign(text string, signer note.Signer) (string, error) {
	raw, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return string(raw), nil
}

// parseHash takes only what Hash.String makes: a decoder of base64 would pass over line breaks and stray bits.
func parseHash(s string) (tlog.Hash, error) {
	h, err := tlog.ParseHash(s)
	if err == nil && h.String() != s {
		err = base64.CorruptInputError(0)
	}
	return h, err
}

// parseUUID takes only the usual form, in small letters.
func parseUUID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err == nil && id.String() != s {
		err = fmt.Errorf("%q is not a UUID in its usual form", s)
	}
	return id, err
}

func hashStrings(hashes []tlog.Hash) []string {
	out := make([]string, len(hashes))
	for i, h := range hashes {
		out[i] = h.String()
	}
	return out
}

// canonicalBase64 writes what a text in base64 stands for in the usual way; empty when it stands for nothing.
func canonicalBase64(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(b)
}

// parseStream reads "TYPE/UUID".
func parseStream(s string) (streamType string, id uuid.UUID, err error) {
	streamType, text, _ := strings.Cut(s, "/")
	id, err = parseUUID(text)
	if err != nil {
		return "", id, fmt.Errorf("%q is not a stream", s)
	}
	return streamType, id, nil
}
