package migrations

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
)

// AloneKey is the lock of whoever migrates.
const AloneKey int64 = aloneKey

// To brings a database up or down to a version.
func To(databaseURL string, version uint) error {
	m, err := open(databaseURL, FS)
	if err != nil {
		return err
	}
	return errors.Join(m.Migrate(version), closed(m))
}

// UpTo carries out migrations from files, on a database that has none of the others, as Up does.
func UpTo(ctx context.Context, databaseURL string, files fs.FS, tell func(string)) error {
	return patiently(ctx, databaseURL, tell, func() error {
		m, err := open(databaseURL, files)
		if err != nil {
			return err
		}
		return errors.Join(m.Up(), closed(m))
	})
}

// GrantedTables are those of which Grant says what a node may do.
func GrantedTables() []string { return slices.Sorted(maps.Keys(grants)) }
