package guard

// ofLimits keep anybody from taking all there is.
var ofLimits = []Guard{
	{
		Threat:  "Too many requests, messages, connections; too slow ones",
		Without: "the limit of a user",
		Patches: in("delivery/rest/limits.go", "\treturn s.limits.user.check(w, r, string(id.Role)+\":\"+id.UserID, \"you\")\n", "\treturn nil\n"),
		Tests:   []string{"delivery/rest.TestAUserMayAskSoOften"},
	},
	{
		Threat:  "Too many requests, messages, connections; too slow ones",
		Without: "the limit of an address",
		Patches: in("delivery/rest/limits.go", "\treturn s.limits.address.check(w, r, c.address(), \"your address\")\n", "\treturn nil\n"),
		Tests:   []string{"delivery/rest.TestAnAddressIsCountedBeforeItsToken"},
	},
	{
		Threat:  "Too many requests, messages, connections; too slow ones",
		Without: "the limit of messages",
		Patches: in("delivery/session/window.go", "\tif now.Sub(w.times[w.next]) < w.Span {\n", "\tif false {\n"),
		Tests:   []string{"delivery/ws.TestTooManyMessagesEndTheConnection"},
	},
	{
		Threat:  "Too many requests, messages, connections; too slow ones",
		Without: "the time that a body may take",
		Patches: in("delivery/rest/call.go", "\t_ = control.SetReadDeadline(time.Now().Add(bodyReadTimeout)) // not every writer has one\n", ""),
		Tests:   []string{"delivery/rest.TestSlowBodies"},
	},
	{
		Threat:  "Too many requests, messages, connections; too slow ones",
		Without: "the bound on sessions",
		Patches: in("delivery/socketio/engine/server.go", "s.closing || s.places >= s.cfg.MaxSessions", "s.closing"),
		Tests:   []string{"delivery/socketio/engine.TestThereAreNoMoreSessionsThanTheBound"},
	},
	{
		Threat:  "An address that the client makes up, to be counted as another",
		Without: "the look at who passed a request on",
		Patches: in("internal/proxies/proxies.go", "\tclient := peer(r)\n\tif !t.Include(client) {\n", "\tclient := peer(r)\n\tif false {\n"),
		Tests:   []string{"internal/proxies.TestWhoseAddressCounts"},
	},
}
