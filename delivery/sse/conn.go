package sse

import (
	"context"
	"net"
	"syscall"
	"time"
)

type connKey struct{}

// ConnContext is for http.Server's field of that name: it lets a Handler bound what the kernel keeps for a stream, and for
// how long it keeps one whose client is gone without a word. Streams work without.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// tcpConn is a *net.TCPConn, or what is around one.
type tcpConn interface {
	syscall.Conn
	SetWriteBuffer(bytes int) error
}

// bound bounds the send buffer of the connection below a request, which the kernel would let grow to several megabytes,
// and the time for which it sends again what nobody acknowledges, which would be a quarter of an hour.
func bound(ctx context.Context, buffer int, gone time.Duration) {
	c, ok := ctx.Value(connKey{}).(tcpConn)
	if !ok {
		return
	}
	// A connection that is broken shows at the first write.
	_ = c.SetWriteBuffer(buffer)
	_ = giveUpAfter(c, gone)
}
