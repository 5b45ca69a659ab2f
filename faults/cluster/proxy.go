package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus" //nolint:depguard // toxiproxy counts with it
	"github.com/rs/zerolog"
)

// proxy is a way over the network that can be broken.
type proxy struct {
	mu     sync.Mutex
	way    *toxiproxy.Proxy
	toxics []string
	gate   *gate // nil: not a way to PostgreSQL
}

// proxyServer is what toxiproxy's proxies log and count with; it serves nothing.
var proxyServer = toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())

// newProxy begins to pass on connections to an address. With a gate they are PostgreSQL's.
func newProxy(name, upstream string, postgres bool) (*proxy, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &proxy{way: toxiproxy.NewProxy(proxyServer, name, address, upstream)}
	if postgres {
		p.gate = gateOf(address)
		for direction, kind := range map[string]string{"upstream": typeToServer, "downstream": typeToClient} {
			if err := p.add(kind, kind, direction, map[string]any{"gate": address}); err != nil {
				return nil, err
			}
		}
	}
	return p, p.way.Start()
}

func (p *proxy) address() string { return p.way.Listen }

func (p *proxy) add(name, kind, direction string, attributes map[string]any) error {
	spec, err := json.Marshal(map[string]any{"name": name, "type": kind, "stream": direction, "attributes": attributes})
	if err != nil {
		return err
	}
	if _, err := p.way.Toxics.AddToxicJson(strings.NewReader(string(spec))); err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	return nil
}

// worsen adds toxics in both directions.
func (p *proxy) worsen(kind string, attributes map[string]any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, direction := range []string{"upstream", "downstream"} {
		name := kind + "." + direction
		if err := p.add(name, kind, direction, attributes); err != nil {
			return err
		}
		p.toxics = append(p.toxics, name)
	}
	return nil
}

// cut ends all connections; until it is mended new ones are refused.
func (p *proxy) cut() { p.way.Stop() }

// drop ends all connections; new ones are let through.
func (p *proxy) drop() error {
	p.way.Stop()
	return p.mend()
}

// mend takes back all that was done.
func (p *proxy) mend() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	for _, name := range p.toxics {
		err = errors.Join(err, p.way.Toxics.RemoveToxic(context.Background(), name))
	}
	p.toxics = nil
	if started := p.way.Start(); !errors.Is(started, toxiproxy.ErrProxyAlreadyStarted) {
		err = errors.Join(err, started)
	}
	return err
}

// freeAddress finds a port that stays free while nobody listens on it: not one of those that the system gives to outgoing
// connections.
func freeAddress() (string, error) {
	var err error
	for range 100 {
		var l net.Listener
		address := fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(20000))
		if l, err = net.Listen("tcp", address); err == nil { //nolint:noctx // at once
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}
