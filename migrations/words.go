package migrations

import (
	"errors"
	"fmt"

	"github.com/golang-migrate/migrate/v4/database"
)

// inWords makes an error of one that the library made, which shows the whole text of the migration and hides its cause: by
// that a caller tells a database that went away from a migration that is wrong. It is for the library's own error, with
// nothing around it.
func inWords(err error) error {
	var ours database.Error
	var p *database.Error
	switch {
	case errors.As(err, &ours):
	case errors.As(err, &p):
		ours = *p
	default:
		return err
	}
	words := ours.Err
	if words == "" {
		words = "the database refuses"
	}
	if ours.Line > 0 {
		words += fmt.Sprintf(", line %d", ours.Line)
	}
	if ours.OrigErr == nil {
		return errors.New(words)
	}
	return fmt.Errorf("%s: %w", words, ours.OrigErr)
}
