package crowd

import (
	"reflect"
	"testing"
	"time"

	"github.com/orderlog/orderlog/faults/history"
	"github.com/orderlog/orderlog/internal/auth"
)

func attempts(seed uint64, n int) (all []attempt) {
	p := newPlan(seed, 60)
	for range n {
		all = append(all, p.next())
	}
	return all
}

func TestWhatUsersTryDependsOnTheSeedAlone(t *testing.T) {
	t.Parallel()
	if !reflect.DeepEqual(attempts(7, 1000), attempts(7, 1000)) {
		t.Error("the same seed makes another plan")
	}
	if reflect.DeepEqual(attempts(7, 10), attempts(8, 10)) {
		t.Error("another seed makes the same plan")
	}
}

func TestAPlanHasEverythingAtItsRate(t *testing.T) {
	t.Parallel()
	all := attempts(7, 6000)
	count, took := map[kind]int{}, time.Duration(0)
	for _, a := range all {
		count[a.kind]++
		took += a.after
	}
	for k := range kinds {
		if count[kind(k)] == 0 {
			t.Errorf("kind %d is never tried", k)
		}
	}
	if took < 95*time.Second || took > 105*time.Second {
		t.Errorf("6000 attempts at 60 a second take %v", took)
	}
}

func people(seed uint64, clients int) *Crowd {
	return New(Config{
		URLs: []string{"http://127.0.0.1:1"}, Clients: clients, Seed: seed, History: history.New(seed),
		Sign: func(auth.Identity) (string, error) { return "token", nil },
	})
}

func TestWhoHasWhichDeviceDependsOnTheSeedAlone(t *testing.T) {
	t.Parallel()
	names := func(seed uint64) (all []string) {
		for _, d := range people(seed, 50).devices {
			all = append(all, d.log.Name)
		}
		return all
	}
	if !reflect.DeepEqual(names(7), names(7)) {
		t.Error("the same seed makes other devices")
	}
	if reflect.DeepEqual(names(7), names(8)) {
		t.Error("another seed makes the same devices")
	}
}

// Of every transport and every role there are some, some users have two devices, and the clients of Socket.IO come back in
// both ways.
func TestTheDevicesAreOfAllKinds(t *testing.T) {
	t.Parallel()
	c := people(7, 200)
	have, two := map[string]int{}, 0
	for _, d := range c.devices {
		have[d.log.Transport]++
		have[d.log.Role]++
		have[d.log.Transport+" "+d.log.Role]++
		if d.recovers {
			have[d.log.Transport+" recovers"]++
		}
	}
	for _, devices := range c.devicesOf {
		if len(devices) == 2 {
			two++
		}
	}
	for _, transport := range transports {
		if even := len(c.devices) / len(transports); have[transport] < even-1 || have[transport] > even+1 {
			t.Errorf("%d devices are connected over %s", have[transport], transport)
		}
		for _, role := range []string{"admin", "customer", "delivery"} {
			if have[transport+" "+role] == 0 {
				t.Errorf("no %s is connected over %s", role, transport)
			}
		}
	}
	if have[sioPoll+" recovers"] == 0 || have[sioSocket+" recovers"] == 0 || two < 10 {
		t.Errorf("%v, %d users with two", have, two)
	}
}
