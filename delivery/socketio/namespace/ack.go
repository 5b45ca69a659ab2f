package namespace

import (
	"bytes"
	"encoding/json"
)

func (s *Socket) expectAck() (id uint64, answer chan []json.RawMessage, err error) {
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	if s.state == ended {
		return 0, nil, ErrClosed
	}
	if s.acks == nil {
		s.acks = map[uint64]chan []json.RawMessage{}
	}
	id, answer = s.nextAck, make(chan []json.RawMessage, 1)
	s.nextAck++
	s.acks[id] = answer
	return id, answer, nil
}

func (s *Socket) forgetAck(id uint64) {
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	delete(s.acks, id)
}

// acknowledged hands an answer of the client to who waits for it. The data is not kept.
func (s *Socket) acknowledged(id uint64, data json.RawMessage) error {
	s.peer.mu.Lock()
	answer, ok := s.acks[id]
	delete(s.acks, id) // a second one finds nobody
	s.peer.mu.Unlock()
	if !ok {
		return nil
	}
	args, err := arguments(bytes.Clone(data))
	if err != nil {
		return err
	}
	answer <- args // it has room for one
	return nil
}
