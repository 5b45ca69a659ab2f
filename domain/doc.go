// Package domain holds what every aggregate of Orderlog shares: roles, money, the
// error codes of the wire, the checks of text, and the registry that turns an event
// into the JSON of the log and back.
//
// The packages under it hold one aggregate each. Their rules are pure: a decision
// takes a state and a command and returns events or a *Error; Apply takes a state and
// an event and returns the next state. Nothing here reads a clock, makes an id, or
// does input or output, so the same events always give the same state, in a command,
// in a projection and in an audit.
//
// A package's event types are registered when it is imported; after that the registry
// is only read. Everything in this package is safe for concurrent use.
package domain
