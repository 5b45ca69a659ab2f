package plant

import "github.com/orderlog/orderlog/faults/patch"

// ofDelivery are mistakes on the way to the clients.
var ofDelivery = []Plant{
	{
		Name: "lost-notification", Rule: "missing",
		What: "one in a hundred live events is not queued",
		Patches: []patch.Patch{{
			File: "delivery/catchup.go",
			Old:  "	s.queue = append(s.queue, f)\n",
			New:  "	if f.Seq%97 == 0 {\n		return\n	}\n	s.queue = append(s.queue, f)\n",
		}},
	},
	{
		Name: "duplicate-delivery", Rule: "repeated",
		What: "one in a hundred live events is queued twice",
		Patches: []patch.Patch{{
			File: "delivery/catchup.go",
			Old:  "	s.queue = append(s.queue, f)\n",
			New:  "	s.queue = append(s.queue, f)\n	if f.Seq%97 == 0 {\n		s.queue = append(s.queue, f)\n	}\n",
		}},
	},
	{
		Name: "reordered-pair", Rule: "repeated",
		What: "of two events that wait for a connection the later one is written first, now and then",
		Patches: []patch.Patch{{
			File: "delivery/catchup.go",
			Old:  "	s.queue = append(s.queue, f)\n",
			New: "	s.queue = append(s.queue, f)\n" +
				"	if n := len(s.queue); n > 1 && f.Seq%3 == 0 {\n		s.queue[n-1], s.queue[n-2] = s.queue[n-2], s.queue[n-1]\n	}\n",
		}},
	},
	{
		Name: "checkpoint-ahead", Rule: "checkpoint",
		What: "a checkpoint names a seq that the feed has not reached",
		Patches: []patch.Patch{
			{
				File: "delivery/session/stream.go",
				Old:  "		seq := max(x.prev, x.sub.Position())\n",
				New:  "		seq := max(x.prev, x.sub.Position()+2)\n",
			},
			{ // more often, so that it shows in a short run
				File: "delivery/session/stream.go",
				Old:  "	x.checkpointAt = now.Add(x.service.cfg.CheckpointInterval)\n",
				New:  "	x.checkpointAt = now.Add(x.service.cfg.CheckpointInterval / 20)\n",
			},
		},
	},
	{
		Name: "room-without-end", Rule: "rights",
		What: "who loses the right to a room stays in it",
		Patches: []patch.Patch{{
			File: "delivery/hub.go",
			Old:  "	if len(f.Endings) > 0 {\n",
			New:  "	if len(f.Endings) > 1000 {\n",
		}},
	},
	{
		Name: "cursor-refused", Rule: "resync",
		What: "a cursor of just now is taken for one that is ahead of it",
		Patches: []patch.Patch{{
			File: "delivery/session/open.go",
			Old:  "	case lastSeq > b.Head:\n",
			New:  "	case lastSeq > b.Head-50:\n",
		}},
	},
}
