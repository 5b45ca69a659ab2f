package session

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/internal/auth"
)

// hanging is a database that does not answer.
type hanging struct{}

func (hanging) wait(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func (h hanging) Verify(ctx context.Context, _ string) (auth.Identity, error) {
	return auth.Identity{}, h.wait(ctx)
}

func (h hanging) CanSeeOrder(ctx context.Context, _ auth.Identity, _ uuid.UUID) (bool, error) {
	return true, h.wait(ctx)
}

func (h hanging) CanSeeCourier(ctx context.Context, _ auth.Identity, _ string) (int64, bool, error) {
	return 0, true, h.wait(ctx)
}

func (h hanging) ReportLocation(ctx context.Context, _ auth.Identity, _ string, _ uuid.UUID, _ courier.Point) (Located, error) {
	return Located{}, h.wait(ctx)
}

func TestWhileTheDatabaseHangsAClientIsToldSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := run(t, func(cfg *Config, _ *delivery.Config) {
			cfg.Verifier, cfg.Access, cfg.Locator = hanging{}, hanging{}, hanging{}
		}, nil)
		x := w.open("dora", domain.RoleDelivery, Start{})
		defer x.Close()
		for event, data := range map[string]string{
			"refresh":           `{"token":"x"}`,
			"join:order":        `"` + deliverytest.Order1.String() + `"`,
			"join:delivery":     `"dora"`,
			"delivery:location": `{"orderId":"` + deliverytest.Order1.String() + `","latitude":1,"longitude":1}`,
		} {
			begun := time.Now()
			r, err := x.Do(t.Context(), event, json.RawMessage(data))
			if f, _ := FailureOf(err); err == nil || f.Code != domain.CodeUnavailable || r.Joined {
				t.Errorf("%s: %+v, %v", event, r, err)
			}
			if took := time.Since(begun); took != 5*time.Second {
				t.Errorf("%s took %v", event, took)
			}
		}
		begun := time.Now()
		_, err := w.service.Authenticate(t.Context(), "x")
		if took := time.Since(begun); domain.CodeOf(err) != domain.CodeUnavailable || took != 5*time.Second {
			t.Errorf("a token: %v after %v", err, took)
		}
	})
}
