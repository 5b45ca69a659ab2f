package replay

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/orderlog/orderlog/eventstore"
)

var csvHeader = []string{
	"seq", "at", "type", "stream", "version", "userId", "role", "reason", "correlationId", "causationId",
	"idempotencyKey", "remoteAddr", "id", "data",
}

// CSV writes events as comma-separated values for spreadsheets, a header and a row each. Times are RFC 3339 in UTC, data
// is JSON.
//
// What users wrote must not become a formula in somebody's spreadsheet: a cell that begins with = + - @, a tab or a line
// break gets an apostrophe before it. So does one that begins with an apostrophe: whoever reads the file by program
// takes one away wherever there is one.
//
// It is not safe for concurrent use.
type CSV struct {
	w     *csv.Writer
	begun bool
}

// NewCSV returns a CSV that writes to w.
func NewCSV(w io.Writer) *CSV { return &CSV{w: csv.NewWriter(w)} }

// Write adds an event.
func (c *CSV) Write(e eventstore.Recorded) error {
	if err := c.begin(); err != nil {
		return err
	}
	meta := metaOf(e)
	row := []string{
		strconv.FormatInt(e.Seq, 10), e.RecordedAt.UTC().Format(time.RFC3339Nano), e.Type, e.Stream.String(),
		strconv.FormatInt(e.Version, 10), meta.UserID, meta.Role, meta.Reason, meta.CorrelationID, meta.CausationID,
		meta.IdempotencyKey, meta.RemoteAddr, e.ID.String(), string(e.Data),
	}
	for i, cell := range row {
		row[i] = harmless(cell)
	}
	if err := c.w.Write(row); err != nil {
		return fmt.Errorf("write event %d: %w", e.Seq, err)
	}
	return nil
}

// Flush writes out what is buffered; the header too, if there was no event.
func (c *CSV) Flush() error {
	if err := c.begin(); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

func (c *CSV) begin() error {
	if c.begun {
		return nil
	}
	c.begun = true
	return c.w.Write(csvHeader)
}

// harmless makes a text that no spreadsheet takes for a formula.
func harmless(cell string) string {
	if cell == "" {
		return cell
	}
	switch cell[0] {
	case '=', '+', '-', '@', '\t', '\r', '\n', '\'':
		return "'" + cell
	}
	return cell
}
