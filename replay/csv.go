package replay

import (
	"encoding/csv"
	"io"

	"github.com/orderlog/orderlog/eventstore"
)

// CSV writes events as comma-separated values for spreadsheets, a header and a row each. A cell that a spreadsheet would
// take for a formula gets a leading apostrophe. It is not safe for concurrent use.
type CSV struct {
	w *csv.Writer
}

// NewCSV returns a CSV that writes to w.
func NewCSV(w io.Writer) *CSV { return &CSV{w: csv.NewWriter(w)} }

// Write adds an event.
func (c *CSV) Write(e eventstore.Recorded) error { panic("not implemented") }

// Flush writes out what is buffered; the header too, if there was no event.
func (c *CSV) Flush() error { panic("not implemented") }
