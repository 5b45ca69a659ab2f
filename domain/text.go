package domain

import (
	"strings"
	"unicode/utf8"
)

// MaxUserID is the longest user id, in characters.
const MaxUserID = 128

// CheckText refuses a text that cannot be stored or whose length, in characters, is
// outside lowest..highest. A text that must be there may not be only white space. NUL
// and broken UTF-8 are refused because the log's JSON cannot hold them as they are.
func CheckText(field, text string, lowest, highest int) error {
	if !utf8.ValidString(text) {
		return Invalid(field, "must be valid UTF-8")
	}
	if strings.ContainsRune(text, 0) {
		return Invalid(field, "must not contain the character NUL (U+0000)")
	}
	if lowest > 0 && strings.TrimSpace(text) == "" {
		return Invalid(field, "must not be empty")
	}
	if n := utf8.RuneCountInString(text); n < lowest || n > highest {
		return Invalid(field, "must have %d to %d characters, not %d", lowest, highest, n)
	}
	return nil
}
