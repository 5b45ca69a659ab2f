package rebuild_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay/rebuild"
)

// wantRefused: the rebuild says what is wrong before it does anything.
func (w *world) wantRefused(t *testing.T, what, databaseURL, name string, opts rebuild.Options, says ...string) {
	t.Helper()
	models, err := rebuild.Choose(name)
	if err != nil {
		t.Fatal(err)
	}
	opts.Name = name
	r, err := rebuild.Run(t.Context(), databaseURL, models, opts)
	if err == nil || r.Events > 0 {
		t.Errorf("%s: got %+v, %v", what, r, err)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%s: %q does not say %q", what, err, s)
		}
	}
}

func TestARoleIsToldWhatItLacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	role := "reader_" + uuid.NewString()[:8]
	quoted := pgx.Identifier{role}.Sanitize()
	w.asSuperuser(t, `CREATE ROLE `+quoted+` LOGIN PASSWORD 'x'`)
	t.Cleanup(func() { w.dropRole(t, quoted) })
	w.asSuperuser(t, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO `+quoted)
	as, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	owner := as.User.Username()
	as.User = url.UserPassword(role, "x")
	w.wantRefused(t, "no owner", as.String(), "orders", rebuild.Options{}, "does not own orders_view", `GRANT "`+owner+`" TO "`+role+`"`)

	database := strings.TrimPrefix(as.Path, "/")
	w.asSuperuser(t, `ALTER DATABASE `+database+` OWNER TO CURRENT_USER`)
	w.wantRefused(t, "no schema", w.url, "views", rebuild.Options{}, `GRANT CREATE ON DATABASE "`+database+`" TO "`+owner+`"`)
	w.asSuperuser(t, `GRANT CREATE ON DATABASE `+database+` TO `+owner)
	w.asSuperuser(t, `ALTER SCHEMA public OWNER TO CURRENT_USER; REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	w.wantRefused(t, "no table", w.url, "feed", rebuild.Options{}, `GRANT CREATE ON SCHEMA "public" TO "`+owner+`"`)
	w.asSuperuser(t, `GRANT CREATE ON SCHEMA public TO `+owner)
	if r := w.rebuild(t, "feed", rebuild.Options{}); !r.Swapped {
		t.Errorf("with what was granted: %+v", r)
	}
	// A member of the owner's role does it as that.
	w.asSuperuser(t, `GRANT `+owner+` TO `+quoted)
	before := w.catalog(t)
	models, err := rebuild.Choose("orders")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := rebuild.Run(t.Context(), as.String(), models, rebuild.Options{Name: "orders"}); err != nil || !r.Swapped {
		t.Errorf("a member of the owner's role: %+v, %v", r, err)
	}
	if after := w.catalog(t); after != before {
		t.Errorf("it was %s", difference(before, after))
	}
}

func TestTablesThatOthersHangOnAreNotReplaced(t *testing.T) {
	t.Parallel()
	for what, sql := range map[string]string{
		"view report":              `CREATE VIEW report AS SELECT status, count(*) FROM orders_view GROUP BY status`,
		"trigger watch":            `CREATE TRIGGER watch AFTER INSERT ON orders_view FOR EACH ROW EXECUTE FUNCTION refuse_change()`,
		"policy mine":              `CREATE POLICY mine ON orders_view USING (customer_id = current_user)`,
		"statistics object public": `CREATE STATISTICS pair ON status, agent_id FROM orders_view`,
		"constraint of":            `CREATE TABLE note (id uuid CONSTRAINT of REFERENCES orders_view)`,
		"function":                 `CREATE FUNCTION number_of_orders() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM orders_view; END`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(t, sql)
			w.wantRefused(t, what, w.url, "views", rebuild.Options{}, "depends on table orders_view", strings.Fields(what)[0])
			w.wantNothingLeft(t)
			if r := w.rebuild(t, "views", rebuild.Options{DryRun: true}); r.Swapped {
				t.Errorf("got %+v", r)
			}
			if r := w.rebuild(t, "payments", rebuild.Options{}); !r.Swapped {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestASchemaOfNobodyIsNotRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `CREATE SCHEMA rebuild_orders`)
	w.exec(t, `CREATE TABLE rebuild_orders.mine ()`)
	w.wantRefused(t, "a schema", w.url, "orders", rebuild.Options{}, `DROP SCHEMA "rebuild_orders" CASCADE`)
	value[int](t, w, `SELECT count(*) FROM rebuild_orders.mine`)
}

func TestWhatCannotBeRebuiltIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "order", "inbox", "refunds", "proofs", "orders_view", "VIEWS"} {
		models, err := rebuild.Choose(name)
		if domain.CodeOf(err) != domain.CodeInvalidRequest || models != nil || !strings.Contains(err.Error(), "business, products, orders, payments, couriers, tracks, offers, inboxes (one of these), views (all of these) and feed") {
			t.Errorf("%q: %d models, %v", name, len(models), err)
		}
	}
	for name, n := range map[string]int{"orders": 1, "views": 8, "feed": 1} {
		if models, err := rebuild.Choose(name); err != nil || len(models) != n {
			t.Errorf("%q: %d models, %v", name, len(models), err)
		}
	}

	w := newWorld(t)
	orders, err := rebuild.Choose("orders")
	if err != nil {
		t.Fatal(err)
	}
	feed := projections.NotificationLog()
	missing, keyless, nobody := orders[0], orders[0], orders[0]
	missing.Tables, keyless.Tables, nobody.Group = []string{"nothing"}, []string{"audit_index"}, "nobody"
	for what, c := range map[string]struct {
		name   string
		models []projections.ReadModel
		says   string
	}{
		"a name for a schema": {"Orders; --", orders, "can't be named"},
		"no model":            {"orders", nil, "no read model"},
		"two groups":          {"orders", append(orders, feed), "one after the other"},
		"the same twice":      {"orders", append(orders, orders...), "two read models keep table orders_view"},
		"no table":            {"orders", []projections.ReadModel{missing}, "there is no table nothing"},
		"no key":              {"orders", []projections.ReadModel{keyless}, "no primary key"},
		"no group":            {"orders", []projections.ReadModel{nobody}, "there is no group nobody"},
	} {
		if _, err := rebuild.Run(t.Context(), w.url, c.models, rebuild.Options{Name: c.name}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := rebuild.Run(t.Context(), "://password", orders, rebuild.Options{Name: "orders"}); err == nil || strings.Contains(err.Error(), "password") {
		t.Errorf("an address that can't be read: %v", err)
	}
	w.wantNothingLeft(t)
}
