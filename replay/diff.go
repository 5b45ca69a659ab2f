package replay

import "encoding/json"

// Change is one member of [State] that an event changed. updatedAt and version change with every event and are left out.
type Change struct {
	// Path is an RFC 6901 pointer into the state, such as "/payments/0/status".
	Path string `json:"path"`
	// From and To are the values before and after; From is missing of what was not there before, To of what is gone.
	From json.RawMessage `json:"from,omitempty"`
	To   json.RawMessage `json:"to,omitempty"`
}
