package commands

import "context"

type asideKey struct{}

// WithAside returns a context whose commands call aside before they wait for others, and what it returns when they go on:
// for a turn at what many want at once, and for the payment provider. So whoever bounds how many commands are worked on at
// a time need not count those that only wait. Both are called from the command's goroutine, and must neither fail nor
// wait: a command that has got its turn keeps others waiting.
func WithAside(ctx context.Context, aside func() (back func())) context.Context {
	return context.WithValue(ctx, asideKey{}, aside)
}

// Aside is called by what waits for others; see [WithAside].
func Aside(ctx context.Context) (back func()) {
	if aside, ok := ctx.Value(asideKey{}).(func() (back func())); ok {
		return aside()
	}
	return func() {}
}
