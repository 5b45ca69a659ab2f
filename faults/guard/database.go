package guard

// ofDatabase keep the log from those who are behind the program.
var ofDatabase = []Guard{
	{
		Threat:  "The node's database role used to change or remove what happened, or to do more",
		Without: "the bounds of what is granted",
		Patches: in("migrations/grant.go", "\"SELECT, INSERT, UPDATE (hashes)\"", "\"SELECT, INSERT, UPDATE (hashes), DELETE\""),
		Tests:   []string{"migrations.TestANodesRoleCanDoNoMoreThanItMust"},
	},
	{
		Threat:  "The node's database role used to change or remove what happened, or to do more",
		Without: "some of what a node needs, so that it would have to be the owner",
		Patches: in("migrations/grant.go", "\"SELECT, INSERT, UPDATE, DELETE\"", "\"SELECT\""),
		Tests:   []string{"cmd/app.TestANodeRunsAsARoleThatOwnsNothing"},
	},
	{
		Threat:  "The node's database role used to change or remove what happened, or to do more",
		Without: "the refusal of powerful roles",
		Patches: in("migrations/grant.go", "\tcase powerful:\n", "\tcase false:\n\t\t_ = powerful\n"),
		Tests:   []string{"migrations.TestRolesThatAreNotGranted"},
	},
	{
		Threat:  "The owner's functions turned against the owner",
		Without: "the fixed search path",
		Patches: in("migrations/0007_node_role.up.sql", "        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', f, current_schema());\n", ""),
		Tests:   []string{"migrations.TestWhatANodeAsksOfTheOwnersRights"},
	},
	{
		Threat:  "The owner's functions turned against the owner",
		Without: "the check of arguments",
		Patches: in("migrations/0007_node_role.up.sql", "    IF n IS NULL OR (n + 1) * 100000 - 1 > (SELECT floor FROM notification_floor) THEN\n", "    IF false THEN\n"),
		Tests:   []string{"migrations.TestWhatANodeAsksOfTheOwnersRights", "migrations.TestANodesRoleCanDoNoMoreThanItMust"},
	},
	{
		Threat:  "The database's owner who rewrites the log",
		Without: "the comparison of the tree with the events",
		Patches: in("replay/proofs/verify_tree.go", "\tif bytes.Equal(stored, ours) && ", "\tif true || bytes.Equal(stored, ours) && "),
		Tests:   []string{"replay/proofs.TestWhatIsDoneToTheTreeIsFound", "replay/proofs.TestWhatIsDoneToTheEventsBehindTheProgramsBackIsFound"},
	},
	{
		Threat:  "The database's owner who rewrites the log",
		Without: "the look at what was signed before",
		Patches: in("replay/proofs/sign.go", "	if root != last.Hash {\n", "	if false {\n"),
		Tests:   []string{"replay/proofs.TestANotaryRefusesATreeThatDoesNotContinueWhatItSigned"},
	},
	{
		Threat:  "The database's owner who rewrites the log",
		Without: "the manifest",
		Patches: in("replay/proofs/verify_bundle.go", "\tif manifest != manifestText(b, tree.N, linesHash(b.Events)) {\n", "\tif _ = manifest; false {\n"),
		Tests:   []string{"replay/proofs.TestABundleThatSaysSomethingElseIsFound"},
	},
	{
		Threat:  "The database's owner who rewrites the log",
		Without: "the versions of streams",
		Patches: in("replay/proofs/verify_bundle.go", "wholeStreams[stream] && v.Version != versions[v.Stream]", "false"),
		Tests:   []string{"replay/proofs.TestEvenTheServerCanNotSignWhatTheEventsDoNotShow"},
	},
	{
		Threat:  "A break-in that goes on from the program to the machine",
		Without: "the want of new rights",
		Patches: in("packaging/orderlog.service", "NoNewPrivileges=yes\n", ""),
		Tests:   []string{"cmd/app.TestThePackagesRunWithoutRights"},
	},
	{
		Threat:  "A break-in that goes on from the program to the machine",
		Without: "doing without a folder to write to",
		Patches: in("internal/config/config.go", "	r := reader{getenv: getenv}\n	c := r.config()\n",
			"	r := reader{getenv: getenv}\n	c := r.config()\n	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {\n		return c, err\n	}\n"),
		Tests: []string{"cmd/app.TestTheStaticProgramRunsWithoutAHome"},
	},
}
