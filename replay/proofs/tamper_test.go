package proofs_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/pgtest"
)

// tamper runs statements as the superuser, behind the back of everything that guards the log.
func (w *world) tamper(t testing.TB, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pgtest.SuperuserURL(t, w.url))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	const unguard = `
DO $$ DECLARE part regclass; BEGIN
	ALTER TABLE events DISABLE TRIGGER ALL;
	FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'events'::regclass LOOP
		EXECUTE format('ALTER TABLE %s DISABLE TRIGGER ALL', part);
	END LOOP;
END $$`
	for _, statement := range append([]string{unguard}, statements...) {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}
