package session

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/internal/auth"
)

// slowLog takes a second for each place, and knows how many it was given at once.
type slowLog struct{ now, most atomic.Int64 }

func (l *slowLog) ReportLocation(context.Context, auth.Identity, string, uuid.UUID, courier.Point) (Located, error) {
	l.most.Store(max(l.most.Load(), l.now.Add(1)))
	defer l.now.Add(-1)
	<-time.After(time.Second)
	return Located{Kept: true}, nil
}

// A storm of what connections ask of the database waits, in a line that ends: each for less than what it may take.
func TestConnectionsAskTheDatabaseSoManyAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowLog{}
		s := New(Config{Locator: slow, MaxWork: 2})
		var kept, refused atomic.Int64
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				x := &Session{service: s, user: auth.Identity{UserID: "ravi", Role: domain.RoleDelivery}}
				data := json.RawMessage(fmt.Sprintf(`{"orderId":%q,"latitude":1,"longitude":2}`, uuid.New()))
				switch _, err := x.Do(t.Context(), "delivery:location", data); domain.CodeOf(err) {
				case "":
					kept.Add(1)
				case domain.CodeOverloaded:
					refused.Add(1)
				default:
					t.Errorf("got %v", err)
				}
			})
		}
		began := time.Now()
		all.Wait()
		if took := time.Since(began); took > 5*time.Second || slow.most.Load() != 2 {
			t.Errorf("it took %s, with %d at a time", took, slow.most.Load())
		}
		if kept.Load() < 8 || kept.Load()+refused.Load() != 20 {
			t.Errorf("%d are kept, %d refused", kept.Load(), refused.Load())
		}
	})
}
