package domain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxUserID is the longest user id, in characters.
const MaxUserID = 128

// CheckText refuses a text that cannot be stored or whose length, in characters, is
// outside lowest..highest. A text that must be there may not be only white space. It may
// have several lines; other control characters are refused: they mean nothing in a text,
// and drive the terminals it is printed on.
func CheckText(field, text string, lowest, highest int) error {
	return check(field, text, lowest, highest, ", only line breaks and tabs", func(c rune) bool {
		return unicode.IsControl(c) && c != '\n' && c != '\r' && c != '\t'
	})
}

// CheckLine is CheckText for what stands on one line, such as a name or a user id: it may
// have no control characters at all.
func CheckLine(field, text string, lowest, highest int) error {
	return check(field, text, lowest, highest, "", unicode.IsControl)
}

func check(field, text string, lowest, highest int, but string, refused func(rune) bool) error {
	if !utf8.ValidString(text) {
		return Invalid(field, "must be valid UTF-8")
	}
	if i := strings.IndexFunc(text, refused); i >= 0 {
		c, _ := utf8.DecodeRuneInString(text[i:])
		return Invalid(field, "must not contain control characters such as %U%s", c, but)
	}
	if lowest > 0 && strings.TrimSpace(text) == "" {
		return Invalid(field, "must not be empty")
	}
	if n := utf8.RuneCountInString(text); n < lowest || n > highest {
		return Invalid(field, "must have %d to %d characters, not %d", lowest, highest, n)
	}
	return nil
}
