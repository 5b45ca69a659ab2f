package rebuild

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Statements are all that a test can prepare against the schema.
func Statements() map[string]string {
	digests := []any{"notification_channels", "notification_channels", "channel, seq", "seq > 5", "'channel=' || channel, 'seq=' || seq"}
	return map[string]string{
		"sqlNoTimeouts": sqlNoTimeouts, "sqlSession": sqlSession, "sqlTablespace": sqlTablespace, "sqlWaitForDisk": sqlWaitForDisk,
		"sqlLiveTables": sqlLiveTables, "sqlAround": sqlAround, "sqlDependents": sqlDependents,
		"sqlLockTable": sqlLockTable, "sqlLockName": sqlLockName, "sqlLockRetention": sqlLockRetention, "sqlPending": sqlPending,
		"sqlBegun": sqlBegun, "sqlBegin": sqlBegin, "sqlMove": sqlMove, "sqlForget": sqlForget, "sqlExists": sqlExists,
		"sqlFloor": sqlFloor, "sqlPosition": sqlPosition, "sqlHold": sqlHold, "sqlPositions": sqlPositions, "sqlHint": sqlHint,
		"sqlLockTimeout": sqlLockTimeout, "sqlSessionLockTimeout": sqlSessionLockTimeout, "sqlHolders": sqlHolders,
		"sqlShape": sqlShape, "sqlMakeTable": sqlMakeTable, "sqlGrants": sqlGrants, "sqlMissingIndexes": sqlMissingIndexes,
		"sqlMissingPartitions": sqlMissingPartitions, "sqlPartitions": sqlPartitions, "sqlKey": sqlKey, "sqlHashed": sqlHashed,
		"sqlSummary":  fmt.Sprintf(sqlSummary, "notification_channels", "t.channel, t.seq", "seq > 5"),
		"sqlVerdicts": fmt.Sprintf(sqlVerdicts, digests[:4]...), "sqlDifferences": fmt.Sprintf(sqlDifferences, digests...),
	}
}

// WithPatience returns options with which a rebuild gives up sooner when the tables are in use.
func (o Options) WithPatience(d time.Duration) Options {
	o.patience = d
	return o
}

// WithDial returns options with which a rebuild connects in another way.
func (o Options) WithDial(dial pgconn.DialFunc) Options {
	o.dial = dial
	return o
}
