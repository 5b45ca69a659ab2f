//go:build !linux

package main

import (
	"errors"
	"net"
	"time"
)

var errLinuxOnly = errors.New("clients by the thousand need Linux")

type poll struct{}

func newPoll() (poll, error) { return poll{}, errLinuxOnly }

func (*poll) close()                            {}
func (*poll) add(*socket, int) error            { return errLinuxOnly }
func (*poll) wait(time.Duration) ([]int, error) { return nil, errLinuxOnly }

type socket struct {
	net.Conn
	drained bool
}

func dialSocket(string) (*socket, error) { return nil, errLinuxOnly }
