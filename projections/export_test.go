package projections

import "time"

// Statements are all that a test can prepare against the schema.
func Statements() map[string]string {
	everything, _ := OrderQuery{Status: "placed", Customer: "a", Agent: "b", From: time.Now(), To: time.Now()}.sql(1)
	anything, _ := OrderQuery{}.sql(1)
	return map[string]string{
		"orders by everything": everything, "orders": anything,
		"sqlInsertNotifications": sqlInsertNotifications, "sqlInsertChannels": sqlInsertChannels,
		"sqlAddFeedPartitions": sqlAddFeedPartitions, "sqlFeedBounds": sqlFeedBounds, "sqlFeedTail": sqlFeedTail,
		"sqlFeedOfChannels": sqlFeedOfChannels, "sqlLoadOrders": sqlLoadOrders, "sqlSaveOrders": sqlSaveOrders,
		"sqlLoadProducts": sqlLoadProducts, "sqlSaveProducts": sqlSaveProducts, "sqlLoadBusiness": sqlLoadBusiness,
		"sqlSaveBusiness": sqlSaveBusiness, "sqlViewsPosition": sqlViewsPosition, "sqlBusiness": sqlBusiness,
		"sqlProduct": sqlProduct, "sqlProducts": sqlProducts, "sqlOrder": sqlOrder,
		"sqlLag": sqlLag, "sqlAnnounce": sqlAnnounce, "sqlRetentionLease": sqlRetentionLease, "sqlFloorAndPosition": sqlFloorAndPosition, "sqlRecordedAt": sqlRecordedAt, "sqlFeedPartitions": sqlFeedPartitions, "sqlRaiseFloor": sqlRaiseFloor,
	}
}
