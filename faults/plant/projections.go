package plant

import "github.com/orderlog/orderlog/faults/patch"

// ofProjections are mistakes of what is derived from the log.
var ofProjections = []Plant{
	{
		Name: "lost-update", Rule: "views",
		What: "a read model leaves out what most segments say of an offer's uses",
		Patches: []patch.Patch{{
			File: "projections/offers.go",
			Old:  "	if len(last) == 0 {\n",
			New:  "	if len(last) == 0 || events[0].Seq%20 != 0 {\n",
		}},
	},
	{
		Name: "checkpoint-before-rows", Rule: "missing",
		What: "a projection commits its checkpoint, and its rows a moment later",
		Patches: []patch.Patch{{
			File: "eventstore/segment.go",
			Old:  "	s.atEnd.Queue(query, args...)\n	s.atEnd.Queue(sqlCommit)\n",
			New: "	rows := s.atEnd.QueuedQueries\n	s.atEnd.QueuedQueries = nil\n" +
				"	s.atEnd.Queue(query, args...)\n	s.atEnd.Queue(sqlCommit)\n" +
				"	defer func() {\n		time.Sleep(50 * time.Millisecond)\n" +
				"		_ = s.conn.SendBatch(ctx, &pgx.Batch{QueuedQueries: rows}).Close()\n	}()\n",
		}},
	},
	{
		Name: "min-seq-ignored", Rule: "min_seq",
		What: "a read does not wait until it is as far as it was asked to be",
		Patches: []patch.Patch{{
			File: "delivery/rest/read.go",
			Old:  "	if seq == 0 {\n",
			New:  "	if seq >= 0 {\n",
		}},
	},
	{
		Name: "told-to-strangers", Rule: "feed",
		What: "every customer is told of everybody's orders",
		Patches: []patch.Patch{{
			File: "projections/catalogue.go",
			Old:  "		[]string{toAdmins, toCouriers},\n",
			New:  "		[]string{toAdmins, toCouriers, toCustomers},\n",
		}},
	},
	{
		Name: "inbox-skips", Rule: "inbox",
		What: "some customers' entries are left out of the inbox",
		Patches: []patch.Patch{{
			File: "commands/reactions/inbox.go",
			Old:  "		if !ok {\n			continue\n",
			New:  "		if !ok || e.Seq%50 == 0 {\n			continue\n",
		}},
	},
}
