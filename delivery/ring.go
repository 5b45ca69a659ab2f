package delivery

import "sort"

// ring holds the newest frames. It is complete for every seq in (floor, the hub's position].
// It is not safe for concurrent use; the hub's lock guards it.
type ring struct {
	maxFrames, maxBytes int

	frames []*Frame // circular: the oldest is at head
	head   int
	count  int
	bytes  int
	floor  int64
}

// push adds a frame that is newer than all others and drops the oldest ones beyond the bounds.
func (r *ring) push(f *Frame) {
	if r.count == len(r.frames) {
		r.grow()
	}
	r.frames[(r.head+r.count)%len(r.frames)] = f
	r.count++
	r.bytes += f.Size()
	for r.count > r.maxFrames || (r.bytes > r.maxBytes && r.count > 0) {
		oldest := r.frames[r.head]
		r.frames[r.head] = nil
		r.head = (r.head + 1) % len(r.frames)
		r.count--
		r.bytes -= oldest.Size()
		r.floor = oldest.Seq
	}
}

// grow doubles the room for frames, so that a quiet node does not pay for a full ring.
func (r *ring) grow() {
	frames := make([]*Frame, max(64, min(2*len(r.frames), r.maxFrames+1)))
	for i := range r.count {
		frames[i] = r.at(i)
	}
	r.frames, r.head = frames, 0
}

func (r *ring) at(i int) *Frame { return r.frames[(r.head+i)%len(r.frames)] }

// copyAfter copies into dst the oldest frames with seq > after and returns how many. It answers false when
// frames after that seq have been dropped already.
func (r *ring) copyAfter(after int64, dst []*Frame) (int, bool) {
	if after < r.floor {
		return 0, false
	}
	first := sort.Search(r.count, func(i int) bool { return r.at(i).Seq > after })
	n := min(len(dst), r.count-first)
	for i := range n {
		dst[i] = r.at(first + i)
	}
	return n, true
}
