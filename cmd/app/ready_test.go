package main

import (
	"net/http"
	"testing"

	"github.com/orderlog/orderlog/internal/pgtest"
)

// A group that fails on one node does not take the others out of service: they may be of the version that can do what it
// cannot, and are then the ones to ask. They say so, and what they are behind tells the rest.
func TestAGroupThatFailsOnAnotherNodeIsTold(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := start(t, serverSettings(t, url))
	// As another node writes it down. This one has nothing to do, so that it leaves it there for a moment.
	if _, err := pgtest.Pool(t, url).Exec(t.Context(), `
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.failures := 3; NEW.failed_seq := 7; RETURN NEW; END $$;
CREATE TRIGGER keep BEFORE UPDATE ON checkpoints FOR EACH ROW WHEN (NEW.group_name = 'views') EXECUTE FUNCTION keep();
UPDATE checkpoints SET failures = 3 WHERE group_name = 'views'`); err != nil {
		t.Fatal(err)
	}
	a := s.must(t, http.StatusOK, "GET", "/ready", "", nil)
	for _, c := range a.body["components"].([]any) {
		if c := c.(map[string]any); c["name"] == "projection views" {
			if c["ready"] != true || c["detail"] != "at seq 0 of 0; it fails on another node at seq 7" {
				t.Errorf("the views are %v", c)
			}
			return
		}
	}
	t.Errorf("the views are not among %v", a.body)
}
