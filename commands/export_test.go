package commands

// Turnstile is the line of those who want to change the same stream.
type Turnstile = turnstile

// The bounds of a line.
const (
	MaxInLine   = maxInLine
	MaxTurnWait = maxTurnWait
)

// Enter is enter.
var Enter = (*turnstile).enter

// EnterIfFree is enterIfFree.
var EnterIfFree = (*turnstile).enterIfFree

// Lines returns how many streams have a line.
func Lines(t *Turnstile) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.lines)
}
