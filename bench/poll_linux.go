package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// poll tells which sockets have something to be read.
type poll struct {
	fd     int
	events []syscall.EpollEvent
	ready  []int
}

func newPoll() (poll, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	const atOnce = 256
	return poll{fd, make([]syscall.EpollEvent, atOnce), make([]int, 0, atOnce)}, err
}

func (p *poll) close() { _ = syscall.Close(p.fd) }

// add has a socket told of by a number.
func (p *poll) add(s *socket, n int) error {
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, s.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(n)}) //nolint:gosec // a few thousand
}

// wait returns the numbers of those that have something to be read. They are good until the next call.
func (p *poll) wait(patience time.Duration) ([]int, error) {
	n, err := syscall.EpollWait(p.fd, p.events, int(patience.Milliseconds()))
	if err != nil && !errors.Is(err, syscall.EINTR) {
		return nil, fmt.Errorf("epoll_wait: %w", err)
	}
	p.ready = p.ready[:0]
	for i := range max(n, 0) {
		p.ready = append(p.ready, int(p.events[i].Fd))
	}
	return p.ready, nil
}

// socket is a TCP connection with nothing around it.
type socket struct {
	net.Conn // none: what is not here is not used
	fd       int
	drained  bool // all that had come is read
}

func dialSocket(host string) (*socket, error) {
	to, err := netip.ParseAddrPort(host)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	s := &socket{fd: fd}
	// Over loopback this does not wait for the other side.
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("connect to %s: %w", host, err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// Read returns errMore when nothing has come.
func (s *socket) Read(b []byte) (int, error) {
	if s.drained {
		return 0, errMore
	}
	n, err := syscall.Read(s.fd, b)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return 0, errMore
	case err != nil:
		return 0, fmt.Errorf("read: %w", err)
	case n == 0:
		return 0, io.ErrUnexpectedEOF
	}
	s.drained = n < len(b)
	return n, nil
}

// Write writes little, for which there is room.
func (s *socket) Write(b []byte) (int, error) {
	n, err := syscall.Write(s.fd, b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return max(n, 0), err
}

func (s *socket) Close() error { return syscall.Close(s.fd) }

// SetLinger does what that of net.TCPConn does at 0: what is on its way is lost.
func (s *socket) SetLinger(int) error {
	return syscall.SetsockoptLinger(s.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
}
