package projections

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

const (
	sqlCopyNotifications = `
COPY notification_log (seq, event, channels, payload, at, endings) FROM STDIN (FORMAT binary)`

	sqlCopyChannels = `COPY notification_channels (channel, seq) FROM STDIN (FORMAT binary)`
)

// feedEntry is what an event leaves in the notification log, with the endings as JSON, "" if there are none. In the table of
// channels it leaves a row for each.
func feedEntry(e Event) (n Notification, endings string, ok bool, err error) {
	n, ok, err = Notify(e)
	if err == nil && len(n.Endings) > 0 {
		if endings, err = encode(n.Endings); err != nil {
			err = fmt.Errorf("endings of seq %d: %w", n.Seq, err)
		}
	}
	return n, endings, ok, err
}

// feedRows are rows of the notification log as COPY takes them.
type feedRows struct {
	feed     *Feed
	log      copyData
	channels copyData
	last     int64 // seq; 0: there are no rows
}

// Derive makes the rows of events.
func (f *Feed) Derive(events []Event) (Rows, error) {
	r := &feedRows{feed: f, log: newCopyData(len(events) * 400), channels: newCopyData(len(events) * 150)}
	for _, e := range events {
		n, endings, ok, err := feedEntry(e)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		r.log.row(6)
		r.log.bigint(n.Seq)
		r.log.text(n.Event)
		r.log.texts(n.Channels)
		r.log.text(string(n.Data))
		r.log.timestamp(n.At)
		if endings == "" {
			r.log.null()
		} else {
			r.log.text(endings)
		}
		for _, c := range n.Channels {
			r.channels.row(2)
			r.channels.text(c)
			r.channels.bigint(n.Seq)
		}
		r.last = n.Seq
	}
	return r, nil
}

// Write writes the rows with COPY.
func (r *feedRows) Write(ctx context.Context, tx pgx.Tx) error {
	if r.last == 0 {
		return nil
	}
	if err := r.feed.addPartitions(ctx, r.last); err != nil {
		return err
	}
	for _, c := range []struct {
		sql  string
		data copyData
	}{{sqlCopyNotifications, r.log}, {sqlCopyChannels, r.channels}} {
		if _, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(c.data.end()), c.sql); err != nil {
			return fmt.Errorf("write notifications: %w", err)
		}
	}
	return nil
}

// copyData is rows in the binary format of COPY, without what ends it.
type copyData []byte

func newCopyData(size int) copyData {
	d := make(copyData, 0, size)
	d = append(d, "PGCOPY\n\xff\r\n\x00"...)
	return append(d, make([]byte, 8)...) // no flags, and no more of a header
}

// row begins a row.
func (d *copyData) row(columns int16) { *d = binary.BigEndian.AppendUint16(*d, uint16(columns)) } //nolint:gosec // the same 16 bits

func (d *copyData) int32(n int) { *d = binary.BigEndian.AppendUint32(*d, uint32(n)) } //nolint:gosec // what is in memory is shorter

func (d *copyData) null() { d.int32(-1) }

func (d *copyData) bigint(n int64) {
	d.int32(8)
	*d = binary.BigEndian.AppendUint64(*d, uint64(n)) //nolint:gosec // the same 64 bits
}

func (d *copyData) timestamp(t time.Time) { d.bigint(t.UnixMicro() - 946_684_800_000_000) } // since the year 2000

func (d *copyData) text(s string) {
	d.int32(len(s))
	*d = append(*d, s...)
}

// texts is an array.
func (d *copyData) texts(list []string) {
	size := 20
	for _, s := range list {
		size += 4 + len(s)
	}
	d.int32(size)
	d.int32(1) // dimension
	d.int32(0) // nulls
	d.int32(pgtype.TextOID)
	d.int32(len(list))
	d.int32(1) // the first one's number
	for _, s := range list {
		d.text(s)
	}
}

// end is all that COPY is given.
func (d copyData) end() []byte { return append(d, 0xff, 0xff) }
