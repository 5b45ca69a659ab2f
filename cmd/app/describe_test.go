package main

import (
	"testing"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/internal/asyncapitest"
	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/projections"
)

func TestTheSocketsAreDescribed(t *testing.T) {
	t.Parallel()
	text, err := describeSockets(config.Config{Port: 5000})
	if err != nil {
		t.Fatal(err)
	}
	checker, err := asyncapitest.Load(text)
	if err != nil {
		t.Fatal(err)
	}
	var events, server, client []string
	for _, e := range projections.Catalogue() {
		events = append(events, e.Name)
	}
	for _, m := range session.ServerMessages() {
		server = append(server, m.Name)
	}
	for _, m := range session.ClientEvents() {
		client = append(client, m.Name)
	}
	if len(events) < 14 || len(server) < 8 || len(client) < 8 {
		t.Errorf("tables with too little in them: %v %v %v", events, server, client)
	}
	for _, name := range append(events, server...) {
		if !checker.Sends(name) {
			t.Errorf("%s is sent and not described", name)
		}
	}
	for _, name := range client {
		if !checker.Receives(name) {
			t.Errorf("%s is understood and not described", name)
		}
	}

	c := checker.Conversation()
	for name, frame := range map[string]string{
		"a location":           `{"prev":0,"seq":7,"event":"delivery:location:update","at":"2026-03-01T12:00:00Z","data":{"orderId":"0190c0de-0000-7000-8000-000000000001","deliveryBoyId":"ravi","location":{"lat":12.9,"lng":77.6}}}`,
		"a courier at leisure": `{"prev":0,"seq":7,"event":"delivery:status:update","at":"2026-03-01T12:00:00Z","data":{"deliveryBoyId":"ravi","status":"online","currentOrder":null}}`,
		"a checkpoint":         `{"event":"checkpoint","data":{"seq":9}}`,
	} {
		if err := c.Received([]byte(frame)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, frame := range map[string]string{
		"a room by its bare id":    `{"event":"join:order","data":"0190c0de-0000-7000-8000-000000000001","id":1}`,
		"a seed's registration":    `{"event":"register","data":{"userId":"asha","role":"customer","token":"x"}}`,
		"a registration of nobody": `{"event":"register"}`,
	} {
		if err := c.Sent([]byte(frame)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
