package namespace

// Unacknowledged is how many acknowledgements a socket waits for.
func (s *Socket) Unacknowledged() int {
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	return len(s.acks)
}
