package guard

// ofBrowsers keep off pages that use the browser of somebody else.
var ofBrowsers = []Guard{
	{
		Threat:  "A page of another origin that connects with a victim's browser",
		Without: "the origins that are allowed",
		Patches: in("internal/origins/origins.go", "\treturn sameHost(headers[0], r.Host)\n", "\treturn true\n"),
		Tests:   []string{"cmd/app.TestSubprotocolsAndOrigins", "delivery/socketio.TestPagesOfOtherOriginsAreKeptOut", "internal/origins.TestWhichPagesMayConnect"},
	},
	{
		Threat:  "A page of another origin that connects with a victim's browser",
		Without: "the origins whose scripts may read",
		Patches: in("delivery/rest/chain.go", "\tallowed := everyone || slices.Contains(s.cfg.Origins, origin)\n", "\tallowed := true\n"),
		Tests:   []string{"delivery/rest.TestBrowsers", "delivery/rest.TestPagesOfOtherOriginsMayListen"},
	},
	{
		Threat:  "A page of another origin that connects with a victim's browser",
		Without: "the want of code that looks at a cookie",
		Patches: in("delivery/rest/chain.go", "\tidentity, err := s.authenticate(r.Context(), r.Header)\n", "\tfor _, cookie := range r.Cookies() {\n\t\tif r.Header.Get(\"Authorization\") == \"\" {\n\t\t\tr.Header.Set(\"Authorization\", \"Bearer \"+cookie.Value)\n\t\t}\n\t}\n\tidentity, err := s.authenticate(r.Context(), r.Header)\n"),
		Tests:   []string{"cmd/app.TestNoCookieLetsAnybodyIn"},
	},
	{
		Threat:  "Going on with somebody's Socket.IO session from another page",
		Without: "the origin of a session",
		Patches: in("delivery/socketio/engine/origin.go", "\tcase s.opener != \"\":\n\t\treturn false\n", "\tcase s.opener != \"\":\n\t\treturn true\n"),
		Tests:   []string{"delivery/socketio/engine.TestASessionBelongsToItsOrigin"},
	},
	{
		Threat:  "A ticket used twice, late, guessed, or in place of a token",
		Without: "the end of a ticket with its use",
		Patches: in("delivery/sse/tickets.go", "DELETE FROM event_tickets WHERE digest = $1 AND expires_at > clock_timestamp()\nRETURNING user_id, role, name, token_expires_at`", "SELECT user_id, role, name, token_expires_at FROM event_tickets WHERE digest = $1 AND expires_at > clock_timestamp()`"),
		Tests:   []string{"delivery/sse.TestATicketSpeaksForItsUserOnce", "cmd/app.TestOfManyWhoBringATicketToTwoNodesOneListens"},
	},
	{
		Threat:  "A ticket used twice, late, guessed, or in place of a token",
		Without: "the time of a ticket",
		Patches: in("delivery/sse/tickets.go", "WHERE digest = $1 AND expires_at > clock_timestamp()", "WHERE digest = $1"),
		Tests:   []string{"delivery/sse.TestATicketHasItsTime"},
	},
	{
		Threat:  "A ticket used twice, late, guessed, or in place of a token",
		Without: "the difference between a ticket and a token",
		Patches: in("internal/auth/auth.go", "\tif len(raw) > maxTokenBytes {\n", "\tif len(raw) == 43 {\n\t\treturn Identity{UserID: \"asha\", Role: domain.RoleCustomer, ExpiresAt: v.now().Add(time.Hour)}, nil\n\t}\n\tif len(raw) > maxTokenBytes {\n"),
		Tests:   []string{"cmd/app.TestATicketIsNoToken"},
	},
	{
		Threat:  "A script in `/docs`, a frame around it",
		Without: "the policy of the page",
		Patches: in("delivery/rest/page.go", "\"default-src 'none'; script-src \" + ", "\"default-src *; script-src 'unsafe-inline' \" + "),
		Tests:   []string{"delivery/rest.TestThePolicyOfTheDocsPage"},
	},
	{
		Threat:  "A script in `/docs`, a frame around it",
		Without: "the policy of all answers",
		Patches: in("delivery/rest/chain.go", "\th.Set(\"Content-Security-Policy\", \"default-src 'none'; frame-ancestors 'none'\")\n", ""),
		Tests:   []string{"delivery/rest.TestHeadersOfEveryAnswer"},
	},
}
