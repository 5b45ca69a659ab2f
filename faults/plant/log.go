package plant

import "github.com/orderlog/orderlog/faults/cluster"

// ofLog are mistakes of the log.
var ofLog = []Plant{
	{
		Name: "not-on-disk", Rule: "acknowledged", Faults: []string{"postgres.kill"},
		What: "commits are answered before they are on the disk",
		Patches: []cluster.Patch{{
			File: "cmd/app/database.go",
			Old:  "'synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`",
			New:  "'synchronous_commit', 'off', false)`",
		}},
	},
	{
		Name: "lost-tail", Rule: "acknowledged", Faults: []string{"commit.before", "backends.kill"},
		What: "a commit whose answer was lost is taken for one that happened",
		Patches: []cluster.Patch{{
			File: "eventstore/recover.go",
			Old:  "		case err == nil && committed:\n",
			New:  "		case err == nil && (committed || !committed):\n",
		}},
	},
	{
		Name: "tried-again-blindly", Rule: "once", Faults: []string{"commit.after", "database.cut"},
		What: "a commit whose answer was lost is made again without a look whether it happened, and no key is kept",
		Patches: []cluster.Patch{
			{
				File: "eventstore/recover.go",
				Old:  "		case err == nil && committed:\n",
				New:  "		case err == nil && committed && ctx.Err() != nil:\n",
			},
			{
				File: "commands/execute.go",
				Old:  "	if r.Key == \"\" {\n		return nil, nil",
				New:  "	if len(r.Key) < 1000 {\n		return nil, nil",
			},
		},
	},
	{
		Name: "key-ignored", Rule: "once",
		What: "an Idempotency-Key is not looked at",
		Patches: []cluster.Patch{{
			File: "commands/execute.go",
			Old:  "	if r.Key == \"\" {\n		return nil, nil",
			New:  "	if len(r.Key) < 1000 {\n		return nil, nil",
		}},
	},
	{
		Name: "versions-unchecked", Rule: "log", Faults: []string{"database.slow"},
		What: "two commands that were decided on the same version of a stream are both stored",
		Patches: []cluster.Patch{{
			File: "migrations/0006_append.up.sql",
			Old:  "        WHERE coalesce(s.version, 0) <> u.version\n",
			New:  "        WHERE coalesce(s.version, 0) < u.version - 1000\n",
		}},
	},
	{
		Name: "seq-skipped", Rule: "log",
		What: "a seq is left out now and then, and readers go on",
		Patches: []cluster.Patch{
			{
				File: "migrations/0006_append.up.sql",
				Old:  "        UPDATE log_head SET seq = head + added, recorded_at = at;\n",
				New:  "        UPDATE log_head SET seq = head + added + CASE WHEN (head + added) % 50 = 7 THEN 1 ELSE 0 END, recorded_at = at;\n",
			},
			{
				File: "eventstore/segment.go",
				Old:  "	if err := checkDense(s.events, s.after); err != nil {\n		return nil, err\n	}\n	if int64(len(s.events)) != s.upTo-s.after {\n",
				New:  "	if int64(len(s.events)) > s.upTo-s.after {\n",
			},
		},
	},
}
