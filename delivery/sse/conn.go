package sse

import (
	"context"
	"net"
)

type connKey struct{}

// ConnContext is for http.Server's field of that name: it lets a Handler bound what the kernel keeps for a stream. The
// stream works without.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// bound bounds the send buffer of the connection below a request. The kernel would let it grow to several megabytes,
// which a client that reads slowly would fill before anybody notices.
func bound(ctx context.Context, bytes int) {
	if c, ok := ctx.Value(connKey{}).(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = c.SetWriteBuffer(bytes) // a connection that is broken shows at the first write
	}
}
