package simulation

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// journal is what one client holds of the protocol: its cursor, and a record of all that it was told, from which the
// run's end is judged. It has no lock of its own.
type journal struct {
	log     string // the id of the log that the cursor belongs to
	begun   bool   // there is a cursor
	start   int64  // where the record begins: every event after it counts
	cursor  int64  // the seq that the client was told of last
	got     []receipt
	late    map[int64]digest // events that came after a later one
	replays []interval       // what was sent to catch up
	replay  int64            // where the one under way began; -1: none
	rooms   map[string][]*stay
	history []answered // of joins
	resyncs []interval // what the server said it cannot send

	repeated, outOfOrder, brokenPrev int
	firstFault                       string // the first of these, for people
}

// receipt is an event that the client got.
type receipt struct {
	seq    int64
	digest digest
}

// interval is what lies after from, up to to.
type interval struct{ from, to int64 }

func (i interval) holds(seq int64) bool { return i.from < seq && seq <= i.to }

// stay is a time in a room. What lies in may can have come because of it, what lies in must has to.
type stay struct {
	may, must interval
	noPast    bool // the room counts from the moment on in which the server lets the client in, and in again
	joined    bool // the server has said so
	leaving   bool // it was asked to end
}

const (
	never   = math.MaxInt64 // a stay that has not ended
	nothing = -1
)

// answered is the answer to a join: what the room carried before.
type answered struct {
	room   string
	within interval
	events []receipt
}

func newJournal() *journal {
	return &journal{late: map[int64]digest{}, rooms: map[string][]*stay{}, replay: nothing}
}

// begin sets the cursor when there is none: to where a REST answer stood, or to where the server says the live stream
// begins.
func (j *journal) begin(seq int64) {
	if !j.begun {
		j.begun, j.start, j.cursor = true, seq, seq
	}
}

// registered notes that a connection begins. resumed says that it asked for what came after the cursor.
func (j *journal) registered(log string, seq int64, resumed bool, refused []string) {
	j.log = log
	j.begin(seq)
	if resumed {
		j.replay = j.cursor
		j.forgetPast()
	}
	for _, room := range refused {
		j.left(room)
	}
}

// event notes an event, and says whether the client has to connect again because something before it is missing.
func (j *journal) event(prev, seq int64, d digest) (taken, again bool) {
	switch {
	case seq <= j.cursor:
		_, repeated := slices.BinarySearchFunc(j.got, seq, func(r receipt, s int64) int { return cmp.Compare(r.seq, s) })
		if _, before := j.late[seq]; repeated || before {
			j.repeated++
			j.fault("seq %d came again", seq)
		} else {
			j.outOfOrder++
			j.late[seq] = d
			j.fault("seq %d came after %d", seq, j.cursor)
		}
		return false, false
	case prev != j.cursor:
		j.brokenPrev++
		j.fault("seq %d says that it follows on %d, the last was %d", seq, prev, j.cursor)
		return false, true
	}
	j.cursor = seq
	j.got = append(j.got, receipt{seq, d})
	return true, false
}

// told moves the cursor over what is not for this client: a checkpoint, or the end of catching up.
func (j *journal) told(what string, seq int64) {
	if seq < j.cursor {
		j.brokenPrev++
		j.fault("%s says %d, the last was %d", what, seq, j.cursor)
		return
	}
	j.cursor = seq
	if what == "caught_up" {
		j.endReplay()
	}
}

func (j *journal) endReplay() {
	if j.replay != nothing {
		j.replays = append(j.replays, interval{j.replay, j.cursor})
		j.replay = nothing
	}
}

// resync notes that the server cannot send what comes after the cursor.
func (j *journal) resync(seq int64) {
	j.endReplay()
	j.resyncs = append(j.resyncs, interval{min(j.cursor, seq), max(j.cursor, seq)})
	j.cursor = seq
}

// joining notes that a room is asked for.
func (j *journal) joining(room string, noPast bool) {
	j.rooms[room] = append(j.rooms[room], &stay{
		may: interval{j.cursor, never}, must: interval{never, never}, noPast: noPast,
	})
}

// forgetPast notes that rooms without a past are begun anew. The server does not say from which seq on they count, so
// they owe nothing any more.
func (j *journal) forgetPast() {
	for room := range j.rooms {
		if s := j.current(room); s != nil && s.noPast {
			s.must.to = min(s.must.to, j.cursor)
		}
	}
}

// joined notes that the server lets the client into a room, from seq on.
func (j *journal) joined(room string, seq int64, history answered) {
	if s := j.current(room); s != nil && !s.joined {
		s.joined = true
		s.may.from = min(s.may.from, seq)
		s.must.from = seq
	}
	j.history = append(j.history, history)
}

// leaving notes that a room is to end; left, that it has, or that it was never joined.
func (j *journal) leaving(room string) {
	if s := j.current(room); s != nil {
		s.leaving = true
		s.must.to = min(s.must.to, j.cursor)
	}
}

func (j *journal) left(room string) {
	if s := j.current(room); s != nil {
		s.may.to = j.cursor
		s.must.to = min(s.must.to, j.cursor)
	}
}

// disconnected ends what was not settled yet: a room whose join was not answered will not be asked for again.
func (j *journal) disconnected() {
	j.endReplay()
	for room := range j.rooms {
		if s := j.current(room); s != nil && (!s.joined || s.leaving) {
			j.left(room)
		}
	}
}

// current is the stay in a room that has not ended.
func (j *journal) current(room string) *stay {
	stays := j.rooms[room]
	if len(stays) == 0 || stays[len(stays)-1].may.to != never {
		return nil
	}
	return stays[len(stays)-1]
}

// inRoom says whether the server has let the client into a room, and not out again.
func (j *journal) inRoom(room string) bool {
	s := j.current(room)
	return s != nil && s.joined && !s.leaving
}

// standing are the rooms to ask for when connecting again.
func (j *journal) standing() []string {
	rooms := []string{}
	for room := range j.rooms {
		if j.inRoom(room) {
			rooms = append(rooms, room)
		}
	}
	slices.Sort(rooms)
	return rooms
}

func (j *journal) fault(format string, args ...any) {
	if j.firstFault == "" {
		j.firstFault = fmt.Sprintf(format, args...)
	}
}
