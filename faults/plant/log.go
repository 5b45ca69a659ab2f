package plant

import "github.com/orderlog/orderlog/faults/patch"

// ofLog are mistakes of the log.
var ofLog = []Plant{
	{
		Name: "not-on-disk", Rule: "acknowledged", Faults: []string{"postgres.kill"},
		What: "commits are answered before they are on the disk",
		Patches: []patch.Patch{{
			File: "cmd/app/database.go",
			Old:  "'synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`",
			New:  "'synchronous_commit', 'off', false)`",
		}},
	},
	{
		Name: "lost-tail", Rule: "acknowledged", Faults: []string{"commit.before", "backends.kill"},
		What: "a commit whose answer was lost is taken for one that happened",
		Patches: []patch.Patch{{
			File: "eventstore/recover.go",
			Old:  "		case err == nil && committed:\n",
			New:  "		case err == nil && (committed || !committed):\n",
		}},
	},
	{
		Name: "key-ignored", Rule: "once",
		What: "an Idempotency-Key is not looked at",
		Patches: []patch.Patch{{
			File: "commands/execute.go",
			Old:  "	if r.Key == \"\" {\n		return nil, nil",
			New:  "	if len(r.Key) < 1000 {\n		return nil, nil",
		}},
	},
	{
		Name: "seq-skipped", Rule: "log",
		What: "a seq is left out now and then, and readers go on",
		Patches: []patch.Patch{
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
