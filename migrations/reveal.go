package migrations

import (
	"errors"

	"github.com/golang-migrate/migrate/v4/database"
)

// revealedError is an error with what PostgreSQL or the network said in it, which the library shows in its text alone.
type revealedError struct {
	error

	cause error
}

func (e *revealedError) Unwrap() []error { return []error{e.error, e.cause} }

// revealed lets a caller tell a database that went away from a migration that is wrong.
func revealed(err error) error {
	var (
		pointer *database.Error
		value   database.Error
	)
	switch {
	case errors.As(err, &pointer):
		value = *pointer
	case !errors.As(err, &value):
		return err
	}
	if value.OrigErr == nil {
		return err
	}
	return &revealedError{err, value.OrigErr}
}
