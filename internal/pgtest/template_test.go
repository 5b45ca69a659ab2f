package pgtest

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

func TestATemplateIsNamedByItsMigrations(t *testing.T) {
	t.Parallel()
	name := func(files map[string]string) string {
		m := fstest.MapFS{}
		for path, content := range files {
			m[path] = &fstest.MapFile{Data: []byte(content)}
		}
		n, err := templateName(m)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	one := name(map[string]string{"1.sql": "a", "2.sql": "b"})
	if one != name(map[string]string{"2.sql": "b", "1.sql": "a"}) {
		t.Error("the same migrations have two names")
	}
	for _, other := range []map[string]string{
		{"1.sql": "a", "2.sql": "c"}, {"1.sql": "a", "3.sql": "b"}, {"1.sql": "a"}, {"1.sql": "a2.sql 1\nb"},
	} {
		if one == name(other) {
			t.Errorf("the name does not see the change to %v", other)
		}
	}
}

func TestATemplateIsMadeOnceHoweverManyAsk(t *testing.T) {
	t.Parallel()
	s, name := current.use(t), throwawayTemplate(t)
	var made atomic.Int32
	var g errgroup.Group
	for range 5 {
		g.Go(func() error {
			return makeTemplate(t.Context(), s, name, func(context.Context, string) error {
				made.Add(1)
				return nil
			})
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := made.Load(); n != 1 {
		t.Errorf("migrated %d times", n)
	}
}

func TestATemplateThatWasNotFinishedIsMadeAnew(t *testing.T) {
	t.Parallel()
	s, name := current.use(t), throwawayTemplate(t)
	broken := errors.New("broken")
	err := makeTemplate(t.Context(), s, name, func(ctx context.Context, address string) error {
		if err := administer(ctx, &server{Superuser: address}, `CREATE TABLE half ()`); err != nil {
			t.Error(err)
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	redone := false
	err = makeTemplate(t.Context(), s, name, func(ctx context.Context, address string) error {
		redone = true
		return administer(ctx, &server{Superuser: address}, `CREATE TABLE half ()`)
	})
	if err != nil || !redone {
		t.Errorf("migrated again: %v; the second try found the first one's table: %v", redone, err)
	}
}

func throwawayTemplate(t *testing.T) string {
	t.Helper()
	id := uuid.New()
	name := "orderlog_template_test_" + strings.ReplaceAll(id.String(), "-", "")
	s := current.use(t)
	t.Cleanup(func() {
		if err := administer(context.Background(), s, `DROP DATABASE IF EXISTS `+name); err != nil {
			t.Error(err)
		}
	})
	return name
}

func TestAServerFromOutsideServes(t *testing.T) {
	t.Parallel()
	folder := freshFolder(t)
	m, err := join(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.leave(); err != nil {
			t.Error(err)
		}
	})
	s, err := outside(t.Context(), m.Superuser)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := outside(t.Context(), m.Superuser); err != nil || *again != *s {
		t.Errorf("the second test binary gets %+v, %v", again, err)
	}
	conn := connect(t, create(t, s, ""))
	if role := value[string](t, conn, `SELECT current_user::text`); role != outsideRole {
		t.Errorf("connected as %s", role)
	}
}

func TestAServerFromOutsideIsRefusedWithWhatItNeeds(t *testing.T) {
	t.Parallel()
	if _, err := outside(t.Context(), current.use(t).Application); err == nil || !strings.Contains(err.Error(), "superuser") {
		t.Errorf("without rights: %v", err)
	}
	if _, err := outside(t.Context(), "host=/tmp"); err == nil || !strings.Contains(err.Error(), "postgres://") {
		t.Errorf("not an address: %v", err)
	}
	u := url.URL{Scheme: "postgres", Host: "127.0.0.1:1", Path: "/x"}
	if _, err := outside(t.Context(), u.String()); err == nil || !strings.Contains(err.Error(), serverVariable) {
		t.Errorf("nobody there: %v", err)
	}
}
