package migrations

import (
	"errors"
	"maps"
	"slices"
)

// To brings a database up or down to a version.
func To(databaseURL string, version uint) error {
	m, err := open(databaseURL)
	if err != nil {
		return err
	}
	return errors.Join(m.Migrate(version), closed(m))
}

// GrantedTables are those of which Grant says what a node may do.
func GrantedTables() []string { return slices.Sorted(maps.Keys(grants)) }
