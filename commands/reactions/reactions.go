// Package reactions is what the program does by itself because of what happened. A reaction reads the log as a
// projection does, in a group of its own, and what it does is again an event of the log.
//
// Guarantees:
//
//   - At least once for every event, in order: a group that fails stays where it is and tries again.
//   - Once in effect. A reaction finds in the log what it did before, and does nothing more.
//   - It writes through the log, never through the group's transaction, and waits for nothing that waits for that
//     transaction: what that holds is the group's own checkpoint.
package reactions

import (
	"encoding/json"
	"fmt"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

// self is the author of what reactions do.
var self = domain.Actor{UserID: "orderlog", Role: domain.RoleSystem}

var (
	_ projections.Model = Inbox{}
	_ projections.Model = Refunds{}
)

// correlation returns what ties an event to the request that it came of.
func correlation(e projections.Event) (string, error) {
	var meta eventstore.Meta
	if err := json.Unmarshal(e.Meta, &meta); err != nil {
		return "", fmt.Errorf("meta of event %d: %w", e.Seq, err)
	}
	return meta.CorrelationID, nil
}
