// Package quota bounds how many of something each of many may hold at a time.
package quota

import (
	"net/netip"
	"sync"
)

// Quota is how many each key may hold. It is safe for concurrent use, and keeps nothing of a key that holds none.
type Quota struct {
	most int

	mu   sync.Mutex
	held map[string]int
}

// New returns a quota. Less than 1: any number.
func New(most int) *Quota { return &Quota{most: most, held: map[string]int{}} }

// Take counts one more for a key, unless it has as many as it may.
func (q *Quota) Take(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.most > 0 && q.held[key] >= q.most {
		return false
	}
	q.held[key]++
	return true
}

// Give gives one back that was taken.
func (q *Quota) Give(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held[key]--; q.held[key] <= 0 {
		delete(q.held, key)
	}
}

// Address is the key of a client's IP address: of IPv6 its network of 64 bits, of which a client may use any address.
func Address(ip string) string {
	address, err := netip.ParseAddr(ip)
	if err != nil || !address.Is6() {
		return ip
	}
	network, _ := address.Prefix(64) // it has as many bits
	return network.Addr().String()
}
