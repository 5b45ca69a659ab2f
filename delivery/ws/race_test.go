//go:build race

package ws

const mostStack = 6 << 10 // the race detector needs more of it
