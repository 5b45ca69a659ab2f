package migrations

import "errors"

// To brings a database up or down to a version.
func To(databaseURL string, version uint) error {
	m, err := open(databaseURL)
	if err != nil {
		return err
	}
	return errors.Join(m.Migrate(version), closed(m))
}
