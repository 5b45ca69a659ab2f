package projections

// Statements are all that a test can prepare against the schema.
func Statements() map[string]string {
	return map[string]string{
		"sqlInsertNotifications": sqlInsertNotifications, "sqlInsertChannels": sqlInsertChannels,
		"sqlAddFeedPartitions": sqlAddFeedPartitions, "sqlFeedBounds": sqlFeedBounds, "sqlFeedTail": sqlFeedTail,
		"sqlFeedOfChannels": sqlFeedOfChannels, "sqlLoadOrders": sqlLoadOrders, "sqlSaveOrders": sqlSaveOrders,
		"sqlLoadProducts": sqlLoadProducts, "sqlSaveProducts": sqlSaveProducts, "sqlLoadBusiness": sqlLoadBusiness,
		"sqlSaveBusiness": sqlSaveBusiness, "sqlViewsPosition": sqlViewsPosition, "sqlBusiness": sqlBusiness,
		"sqlProduct": sqlProduct, "sqlProducts": sqlProducts, "sqlOrder": sqlOrder, "sqlOrders": sqlOrders,
		"sqlLag": sqlLag, "sqlAnnounce": sqlAnnounce, "sqlRetentionLease": sqlRetentionLease, "sqlOldestPartition": sqlOldestPartition, "sqlRaiseFloor": sqlRaiseFloor,
	}
}
