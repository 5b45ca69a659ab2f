//go:build !race

package ws

const mostStack = 3 << 10 // of a connection that is idle: the smallest there is are 2 KB
