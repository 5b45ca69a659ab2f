package main

import (
	"github.com/orderlog/orderlog/delivery/asyncapi"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/projections"
)

// describeSockets makes the AsyncAPI document out of the tables that the program itself works by.
func describeSockets(cfg config.Config) ([]byte, error) {
	d := asyncapi.Document{Version: version(), Host: cfg.Addr(), Failure: session.Failure{}}
	for _, e := range projections.Catalogue() {
		d.Events = append(d.Events, asyncapi.Event{Name: e.Name, Summary: e.Summary, Channels: e.Channels, Data: e.Payload})
	}
	for _, e := range session.ClientEvents() {
		d.Client = append(d.Client, asyncapi.ClientMessage{
			Name: e.Name, Summary: e.Summary, Data: e.Data, Ack: e.Ack, Bare: e.Bare(),
		})
	}
	for _, m := range session.ServerMessages() {
		d.Server = append(d.Server, asyncapi.ServerMessage{Name: m.Name, Summary: m.Summary, Data: m.Data})
	}
	return asyncapi.Build(d)
}
