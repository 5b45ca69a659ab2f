package quota

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEachHoldsItsOwn(t *testing.T) {
	t.Parallel()
	q := New(2)
	for n := range 4 {
		if taken := q.Take("a"); taken != (n < 2) {
			t.Errorf("the place %d: %t", n, taken)
		}
	}
	if !q.Take("b") {
		t.Error("b pays for a")
	}
	q.Give("a")
	if !q.Take("a") || q.Take("a") {
		t.Error("what is given back is not there again, once")
	}
	q.Give("a")
	q.Give("a")
	q.Give("b")
	if len(q.held) != 0 {
		t.Errorf("it keeps %v", q.held)
	}
	q = New(0)
	for range 10 {
		if !q.Take("a") {
			t.Error("0 is a bound")
		}
	}
}

func TestANetworkOfIPv6IsOneAddress(t *testing.T) {
	t.Parallel()
	for _, same := range [][2]string{{"2001:db8::1", "2001:db8::ffff:1:2:3"}, {"192.0.2.7", "192.0.2.7"}, {"", ""}} {
		if Address(same[0]) != Address(same[1]) {
			t.Errorf("%s and %s are two", same[0], same[1])
		}
	}
	for _, others := range [][2]string{{"2001:db8::1", "2001:db8:0:1::1"}, {"192.0.2.7", "192.0.2.8"}} {
		if Address(others[0]) == Address(others[1]) {
			t.Errorf("%s and %s are one", others[0], others[1])
		}
	}
}
