package socketio

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// pid is the private id of a connection that its client gives back to have it recovered (Socket.IO protocol 5,
// connection state recovery). It holds all that a node has to know, so any node recovers any connection.
//
// It is not signed, because it grants nothing: rights come from the token, and whoever makes one up gets what the token
// would have given with a `lastSeq`. It is told to nobody else, because it names the rooms of a connection.
type pid struct {
	log uuid.UUID
	// recovery names the connection in the table of rooms, from its first day on and through all recoveries.
	recovery uuid.UUID
	// start is the seq after which the stream began: a client that was told nothing yet goes on there.
	start int64
	// stale is an offset beyond start that the client held of another stream when this one began. It keeps it until it
	// is told the first offset of this one, so when it comes back with it, it was told nothing. -1: there was none.
	stale offset
	// who has the connection, and given what its client asked for by itself when it began.
	who, given digest
}

// digest tells things from each other. It keeps nobody from finding two that have the same, who would gain nothing.
type digest [8]byte

const (
	pidVersion = 1
	pidBytes   = 1 + 16 + 16 + 8 + 8 + 1 + 8 + 8
)

var noOffset = offset{seq: -1}

// whoOf names a user in a role. The anonymous have neither.
func whoOf(userID string, role domain.Role) digest { return digestOf(userID, string(role)) }

// givenOf names a cursor that a client gives by itself. Nil is none.
func givenOf(lastSeq *int64, log string) digest {
	if lastSeq == nil {
		return digestOf("", "")
	}
	return digestOf(strconv.FormatInt(*lastSeq, 10), log)
}

func digestOf(a, b string) (d digest) {
	sum := sha256.Sum256([]byte(a + "\x00" + b))
	copy(d[:], sum[:])
	return d
}

// String is the pid as it is on the wire: text that fits into a URL.
func (p pid) String() string {
	b := make([]byte, 0, pidBytes)
	b = append(b, pidVersion)
	b = append(b, p.log[:]...)
	b = append(b, p.recovery[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.start))     //nolint:gosec // parsePID checks
	b = binary.BigEndian.AppendUint64(b, uint64(p.stale.seq)) //nolint:gosec // parsePID checks
	marked := byte(0)
	if p.stale.marked {
		marked = 1
	}
	b = append(b, marked)
	b = append(b, p.who[:]...)
	b = append(b, p.given[:]...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// parsePID reads a pid. It answers false for all that String does not write.
func parsePID(s string) (p pid, ok bool) {
	if len(s) != base64.RawURLEncoding.EncodedLen(pidBytes) {
		return pid{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != pidBytes || b[0] != pidVersion {
		return pid{}, false
	}
	b = b[1:]
	b = b[copy(p.log[:], b):]
	b = b[copy(p.recovery[:], b):]
	p.start = int64(binary.BigEndian.Uint64(b))         //nolint:gosec // checked below
	p.stale.seq = int64(binary.BigEndian.Uint64(b[8:])) //nolint:gosec // checked below
	marked := b[16]
	p.stale.marked = marked == 1
	b = b[17:]
	b = b[copy(p.who[:], b):]
	copy(p.given[:], b)
	ok = marked <= 1 && p.start >= 0 && p.start <= maxSeq && p.stale.seq >= -1 && p.stale.seq <= maxSeq &&
		(p.stale.seq >= 0 || !p.stale.marked)
	if !ok {
		return pid{}, false
	}
	return p, true
}

// told says that an offset that came with the pid was told by this stream.
func (p pid) told(o offset) bool { return o.seq != p.stale.seq || o.marked != p.stale.marked }

// at is the offset of what this stream tells at a seq. It differs from the one that the client held before.
func (p pid) at(seq int64) offset {
	return offset{seq: seq, marked: seq == p.stale.seq && !p.stale.marked}
}

// holding returns the pid for a client that still holds an offset of another stream.
func (p pid) holding(o offset) pid {
	p.stale = noOffset
	if o.seq > p.start { // else the start counts
		p.stale = offset{seq: o.seq, marked: o.marked}
	}
	return p
}
