package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
)

// Digest is a hash of a JSON value that does not depend on white space or on the order of members, so that what came
// over different transports can be compared. Numbers are compared as they are written.
func Digest(data []byte) (uint64, error) {
	value, err := decode(data)
	if err != nil {
		return 0, err
	}
	canonical, err := json.Marshal(value) // members in order of their names
	if err != nil {
		return 0, fmt.Errorf("digest: %w", err)
	}
	h := fnv.New64a()
	_, _ = h.Write(canonical)
	return h.Sum64(), nil
}

func decode(data []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, fmt.Errorf("digest: %w", err)
	}
	return value, nil
}
