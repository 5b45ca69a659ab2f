package main

import (
	"net"
	"strconv"
	"strings"

	"github.com/orderlog/orderlog/delivery/asyncapi"
	"github.com/orderlog/orderlog/delivery/ws"
	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/projections"
)

// describeSockets makes the AsyncAPI document of what the program says and understands, out of the tables it works by.
func describeSockets(cfg config.Config) ([]byte, error) {
	d := asyncapi.Document{
		Version: version(),
		Host:    net.JoinHostPort("localhost", strconv.Itoa(cfg.Port)),
		Failure: ws.Failure{},
	}
	for _, e := range projections.Catalogue() {
		d.Events = append(d.Events, asyncapi.Event{Name: e.Name, Summary: e.Summary, Channels: e.Channels, Data: e.Payload})
	}
	for _, m := range ws.ServerMessages() {
		d.Server = append(d.Server, asyncapi.ServerMessage{Name: m.Name, Summary: m.Summary, Data: m.Data})
	}
	for _, m := range ws.ClientEvents() {
		d.Client = append(d.Client, asyncapi.ClientMessage{
			Name: m.Name, Summary: m.Summary, Data: m.Data, Ack: m.Ack,
			Bare: strings.HasPrefix(m.Name, "join:") || strings.HasPrefix(m.Name, "leave:"),
		})
	}
	return asyncapi.Build(d)
}
