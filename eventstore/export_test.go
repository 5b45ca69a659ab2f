package eventstore

// LookUps are the statements that must go by an index whatever the planner believes.
func LookUps() map[string]string {
	return map[string]string{
		"the streams' versions": sqlLookupStreams,
		"the idempotency keys":  sqlLookupKeys,
		"the streams' bounds":   sqlStreamBounds,
	}
}

// Statements are all that take parameters and so can be prepared.
func Statements() map[string]string {
	return map[string]string{
		"sqlLockHead": sqlLockHead, "sqlLookupStreams": sqlLookupStreams, "sqlLookupKeys": sqlLookupKeys,
		"sqlInsertEvents": sqlInsertEvents, "sqlUpsertStreams": sqlUpsertStreams, "sqlInsertKeys": sqlInsertKeys,
		"sqlMoveHead": sqlMoveHead, "sqlAppend": sqlAppend, "sqlNotify": sqlNotify, "sqlAwaitHead": sqlAwaitHead,
		"sqlEventExists": sqlEventExists, "sqlStreamBounds": sqlStreamBounds, "sqlReadStream": sqlReadStream,
		"sqlReadLog": sqlReadLog, "sqlReadLast": sqlReadLast, "sqlHead": sqlHead, "sqlAddPartitions": sqlAddPartitions,
		"sqlNextSegment": sqlNextSegment, "sqlMoveCheckpoint": sqlMoveCheckpoint,
	}
}
