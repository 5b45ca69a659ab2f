package socketio

import (
	"math"
	"strconv"
	"strings"
)

// offset is a place in a stream, as a client gives it back: what was told up to it is not told again. On the wire it is
// the seq as a string, "17". Two letters behind a slash say more:
//
//	17/1  of the pair of packets that admins get for seq 17 only the first was told
//	17/2  17, of a stream whose client still held another stream's 17 when it began (see pid.stale)
//	17/3  both
type offset struct {
	seq    int64
	first  bool // only the first packet of the pair was told
	marked bool // it is of the stream that the pid begins, and not of one before
}

const (
	maxSeq = math.MaxInt64 / 4 // far beyond any log, so that sums do not overflow

	offsetFirst  = 1
	offsetMarked = 2
)

// parseOffset reads an offset. It answers false for all that appendTo does not write.
func parseOffset(s string) (offset, bool) {
	digits, part, parted := strings.Cut(s, "/")
	seq, ok := parseSeq(digits)
	o := offset{seq: seq}
	if !ok || !parted {
		return o, ok
	}
	if len(part) != 1 || part[0] < '1' || part[0] > '3' {
		return offset{}, false
	}
	flags := part[0] - '0'
	o.first, o.marked = flags&offsetFirst != 0, flags&offsetMarked != 0
	return o, seq > 0 || !o.first
}

// parseSeq reads a seq as it is written: digits, and none that says nothing.
func parseSeq(digits string) (int64, bool) {
	if digits == "" || (digits[0] == '0' && digits != "0") || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	seq, err := strconv.ParseInt(digits, 10, 64)
	return seq, err == nil && seq <= maxSeq
}

// appendTo appends the offset as it is on the wire, without quotes.
func (o offset) appendTo(dst []byte) []byte {
	dst = strconv.AppendInt(dst, o.seq, 10)
	flags := byte(0)
	if o.first {
		flags |= offsetFirst
	}
	if o.marked {
		flags |= offsetMarked
	}
	if flags != 0 {
		dst = append(dst, '/', '0'+flags)
	}
	return dst
}

// String is the offset as it is on the wire.
func (o offset) String() string { return string(o.appendTo(nil)) }

// after says that the offset is later in the stream than another. Marks do not matter.
func (o offset) after(other offset) bool { return o.place() > other.place() }

// place counts the packets of pairs one by one.
func (o offset) place() int64 {
	if o.first {
		return 2*o.seq - 1
	}
	return 2 * o.seq
}

// resume is the cursor after which the stream goes on, and the seq whose first packet of the pair is left out then; 0:
// none.
func (o offset) resume() (cursor, skipFirst int64) {
	if o.first {
		return o.seq - 1, o.seq
	}
	return o.seq, 0
}
