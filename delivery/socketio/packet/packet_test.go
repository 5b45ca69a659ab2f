package packet_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/delivery/socketio/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func id(n uint64) *uint64 { return &n }

// The forms of the Socket.IO protocol 5, section "Packet encoding", with data of our own.
var onTheWire = []struct {
	text   string
	packet packet.Packet
}{
	{`0`, packet.Packet{Type: packet.Connect, Namespace: "/"}},
	{`0{"token":"t"}`, packet.Packet{Type: packet.Connect, Namespace: "/", Data: []byte(`{"token":"t"}`)}},
	{`0/admin,`, packet.Packet{Type: packet.Connect, Namespace: "/admin"}},
	{`0/admin,{"sid":"s"}`, packet.Packet{Type: packet.Connect, Namespace: "/admin", Data: []byte(`{"sid":"s"}`)}},
	{`4{"message":"no"}`, packet.Packet{Type: packet.ConnectError, Namespace: "/", Data: []byte(`{"message":"no"}`)}},
	{`4/admin,"no"`, packet.Packet{Type: packet.ConnectError, Namespace: "/admin", Data: []byte(`"no"`)}},
	{`1`, packet.Packet{Type: packet.Disconnect, Namespace: "/"}},
	{`1/admin,`, packet.Packet{Type: packet.Disconnect, Namespace: "/admin"}},
	{`2["ping"]`, packet.Packet{Type: packet.Event, Namespace: "/", Data: []byte(`["ping"]`)}},
	{`2[7,null]`, packet.Packet{Type: packet.Event, Namespace: "/", Data: []byte(`[7,null]`)}},
	{`2/admin,["a,b",{"c":[1]}]`, packet.Packet{Type: packet.Event, Namespace: "/admin", Data: []byte(`["a,b",{"c":[1]}]`)}},
	{`20["ping"]`, packet.Packet{Type: packet.Event, Namespace: "/", ID: id(0), Data: []byte(`["ping"]`)}},
	{`2/admin,12["ping"]`, packet.Packet{Type: packet.Event, Namespace: "/admin", ID: id(12), Data: []byte(`["ping"]`)}},
	{`3/admin,18446744073709551615[]`, packet.Packet{Type: packet.Ack, Namespace: "/admin", ID: id(1<<64 - 1), Data: []byte(`[]`)}},
	{`52-/admin,["f",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, packet.Packet{
		Type: packet.Event, Namespace: "/admin", Data: []byte(`["f",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`),
		Attachments: [][]byte{{1, 2}, {}},
	}},
	{`61-15[{"_placeholder":true,"num":0}]`, packet.Packet{
		Type: packet.Ack, Namespace: "/", ID: id(15), Data: []byte(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{0xFF}},
	}},
}

func TestAPacketIsWrittenAndReadAsTheProtocolHasIt(t *testing.T) {
	t.Parallel()
	for _, c := range onTheWire {
		if got := string(packet.Append(nil, c.packet)); got != c.text {
			t.Errorf("%+v is written %s, not %s", c.packet, got, c.text)
		}
		got, err := decode(&packet.Decoder{}, c.text, c.packet.Attachments...)
		if err != nil || !reflect.DeepEqual(got, c.packet) {
			t.Errorf("%s is read as %+v, %v", c.text, got, err)
		}
	}
}

func TestOtherFormsAreReadToo(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`0/admin`:         `0/admin,`,      // no comma at the end
		`2/,["a"]`:        `2["a"]`,        // the main namespace by name
		`50-["a"]`:        `2["a"]`,        // a binary event without attachments
		"2 [ \"a\" ]\r\n": `2[ "a" ]`,      // space around JSON
		`3007[]`:          `37[]`,          // zeros before an id
		`2["é\u00e9😀"]`:   `2["é\u00e9😀"]`, // any text
	} {
		p, err := decode(&packet.Decoder{}, text)
		if got := string(packet.Append(nil, p)); err != nil || got != want {
			t.Errorf("%q is read as %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestWhatIsNoPacketIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `a`, `7`, `abc`, `9["a"]`, `-1`,
		`0[]`, `0null`, `0"token"`, `0{`, `03{}`,
		`1[]`, `1{}`, `13`,
		`2`, `2{}`, `2[]`, `2[ ]`, `2[null]`, `2[["a"]]`, `2[{}]`, `2[true]`, `2"a"`, `2["a"`, `2["a"]x`, `2["a"]["b"]`, `2abc["a"]`,
		`2-1["a"]`, `21.5["a"]`, `218446744073709551616["a"]`, `2/admin["a","b"]`, `2/admin`, "2[\"\xff\"]", "2[\"\x00\"]",
		`3[]`, `31`, `31{}`,
		`4`, `4[]`, `41{}`,
		`5["a"]`, `5-["a"]`, `5+1-["a"]`, `51["a"]`, `51-`, `61-["a"]`,
		"0/\x1e", "0/a\nb,", "0/\u0085",
		`2/` + strings.Repeat("n", 128) + `,["a"]`,
	} {
		if _, err := decode(&packet.Decoder{}, text); !errors.Is(err, packet.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAttachmentsComeOneByOneBehindTheirText(t *testing.T) {
	t.Parallel()
	var d packet.Decoder
	if _, _, err := d.Binary([]byte{1}); !errors.Is(err, packet.ErrInvalid) {
		t.Errorf("an attachment of nothing: %v", err)
	}
	text, data := []byte(`51-["f",{"_placeholder":true,"num":0}]`), []byte{1, 2}
	if _, complete, err := d.Text(text); complete || err != nil {
		t.Fatalf("a text whose attachment has not come: %v, %v", complete, err)
	}
	clear(text) // the memory is the caller's
	p, complete, err := d.Binary(data)
	if !complete || err != nil {
		t.Fatalf("the last attachment: %v, %v", complete, err)
	}
	clear(data)
	if string(p.Data) != `["f",{"_placeholder":true,"num":0}]` || !reflect.DeepEqual(p.Attachments, [][]byte{{1, 2}}) {
		t.Errorf("got %s with %v", p.Data, p.Attachments)
	}
	if _, _, err := d.Binary([]byte{1}); !errors.Is(err, packet.ErrInvalid) {
		t.Errorf("one attachment too many: %v", err)
	}
	if _, complete, err := d.Text([]byte(`2["next"]`)); !complete || err != nil {
		t.Errorf("the packet behind it: %v, %v", complete, err)
	}
}

func TestATextWhereAnAttachmentIsMissingIsRefused(t *testing.T) {
	t.Parallel()
	var d packet.Decoder
	if _, _, err := d.Text([]byte(`51-["f"]`)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Text([]byte(`2["g"]`)); !errors.Is(err, packet.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestAPacketIsGatheredWithinBounds(t *testing.T) {
	t.Parallel()
	const text = `52-["f"]`
	for name, c := range map[string]struct {
		decoder     packet.Decoder
		text        string
		attachments [][]byte
		want        error
	}{
		"as many as may be":              {packet.Decoder{MaxAttachments: 2}, text, [][]byte{{}, {}}, nil},
		"one too many":                   {packet.Decoder{MaxAttachments: 1}, text, nil, packet.ErrTooLarge},
		"none are taken":                 {packet.Decoder{MaxAttachments: -1}, `51-["f"]`, nil, packet.ErrTooLarge},
		"none, and none come":            {packet.Decoder{MaxAttachments: -1}, `50-["f"]`, nil, nil},
		"more than there are by default": {packet.Decoder{}, fmt.Sprintf(`5%d-["f"]`, packet.DefaultMaxAttachments+1), nil, packet.ErrTooLarge},
		"more than can be counted":       {packet.Decoder{}, `599999999999999999999-["f"]`, nil, packet.ErrTooLarge},
		"as large as may be":             {packet.Decoder{MaxBytes: len(text) + 3}, text, [][]byte{{1, 2}, {3}}, nil},
		"one byte too large":             {packet.Decoder{MaxBytes: len(text) + 3}, text, [][]byte{{1, 2}, {3, 4}}, packet.ErrTooLarge},
		"the text alone is too large":    {packet.Decoder{MaxBytes: len(text) - 1}, text, nil, packet.ErrTooLarge},
		"too large by default":           {packet.Decoder{}, text, [][]byte{make([]byte, packet.DefaultMaxBytes)}, packet.ErrTooLarge},
	} {
		if _, err := decode(&c.decoder, c.text, c.attachments...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, not %v", name, err, c.want)
		}
	}
}

// errIncomplete says that a packet waits for more attachments than were given.
var errIncomplete = errors.New("incomplete")

func decode(d *packet.Decoder, text string, attachments ...[]byte) (packet.Packet, error) {
	p, complete, err := d.Text([]byte(text))
	for _, a := range attachments {
		if err != nil || complete {
			break
		}
		p, complete, err = d.Binary(a)
	}
	if err == nil && !complete {
		err = errIncomplete
	}
	return p, err
}

func TestWritingAPacketCostsNoAllocation(t *testing.T) { //nolint:paralleltest // it counts what the process allocates
	p := packet.Packet{Type: packet.Event, Namespace: "/admin", ID: id(7), Data: []byte(`["ping"]`)}
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { buf = packet.Append(buf[:0], p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
