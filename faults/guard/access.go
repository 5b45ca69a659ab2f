package guard

// ofAccess keep users to what is theirs.
var ofAccess = []Guard{
	{
		Threat:  "Asking for what is of others, over REST",
		Without: "the look at whose an order is",
		Patches: in("delivery/rest/orders.go", "\t\treturn o.CustomerID == id.UserID\n", "\t\treturn true\n"),
		Tests:   []string{"cmd/app.TestWhoMayAskForWhat"},
	},
	{
		Threat:  "Asking for what is of others, over REST",
		Without: "the roles of an operation",
		Patches: in("delivery/rest/api.go", "\tif len(a.roles) > 0 && ", "\tif false && "),
		Tests:   []string{"delivery/rest.TestWhoMayCallWhat"},
	},
	{
		Threat:  "Asking for what is of others, over REST",
		Without: "the table of rights, of which an operation is left out",
		Patches: in("delivery/rest/orders.go", "\t}, admins, s.assignOrder)\n", "\t}, admins, s.assignOrder)\n\tregister(s, api, huma.Operation{OperationID: \"look\", Method: http.MethodGet, Path: prefix + \"/look\"}, everybody,\n\t\tfunc(context.Context, *call, *struct{}) (*struct{}, error) { return &struct{}{}, nil })\n"),
		Tests:   []string{"delivery/rest.TestEveryOperationIsInTheTableOfRights"},
	},
	{
		Threat:  "Asking for what is of others, over REST",
		Without: "the roles of a command",
		Patches: in("commands/execute.go", "\tif !slices.Contains(cmd.roles, r.Actor.Role) {\n", "\tif false {\n"),
		Tests:   []string{"commands.TestRights"},
	},
	{
		Threat:  "Asking for what is of others, over a socket",
		Without: "the look at whose an order is",
		Patches: in("commands/access.go", "\t\treturn l.state.CustomerID == actor.UserID, nil\n", "\t\treturn true, nil\n"),
		Tests:   []string{"cmd/app.TestWhoMaySendWhatOverTheSocket", "cmd/app.TestWhoMaySendWhatOverSocketIO"},
	},
	{
		Threat:  "A namespace of another role",
		Without: "the role of a namespace",
		Patches: in("delivery/socketio/connect.go", "\tcase role != \"\" && user.Role != role:\n", "\tcase false:\n"),
		Tests:   []string{"cmd/app.TestWhoMaySendWhatOverSocketIO", "delivery/socketio.TestTheTokenSaysWhoIsLetInWhere"},
	},
	{
		Threat:  "Being told live what is of others",
		Without: "the role of the token",
		Patches: in("delivery/session/open.go", "projections.ChannelRole(user.Role)", "projections.ChannelRole(domain.RoleAdmin)"),
		Tests:   []string{"cmd/app.TestEveryEventReachesItsChannelsAndNobodyElse"},
	},
	{
		Threat:  "Being told by coming back what one may not see now: a cursor, a `pid`, a room, an old role",
		Without: "the look at the rights of now",
		Patches: in("delivery/session/open.go", "\t\tif err != nil || !ok {\n", "\t\tif err != nil {\n"),
		Tests:   []string{"cmd/app.TestWhatIsNotSeenLiveIsNotSeenByResume", "cmd/app.TestARightThatIsLostWhileTheClientIsAway"},
	},
	{
		Threat:  "Being told by coming back what one may not see now: a cursor, a `pid`, a room, an old role",
		Without: "what has no past for a customer",
		Patches: in("delivery/session/rooms.go", "\treturn m.agent == \"\" || user.Role != domain.RoleCustomer\n", "\treturn true\n"),
		Tests:   []string{"delivery/ws.TestACustomerFollowsAnAgentFromThenOn", "delivery/session.TestTheRoomOfADeliveryAgentComesBackForAsMuchAsIsTheCustomers"},
	},
	{
		Threat:  "Being told by coming back what one may not see now: a cursor, a `pid`, a room, an old role",
		Without: "whose a pid is",
		Patches: in("delivery/socketio/auth.go", "(ok && p.who != who)", "(ok && false)"),
		Tests:   []string{"delivery/socketio.TestAPidOfAnotherUserGivesNothing"},
	},
	{
		Threat:  "Being told by coming back what one may not see now: a cursor, a `pid`, a room, an old role",
		Without: "the look at the rights of now, where a room is joined",
		Patches: in("delivery/session/join.go", "		if !open {\n", "		if false {\n			_ = open\n"),
		Tests:   []string{"cmd/app.TestAPastIsReadByTheRightsOfNow"},
	},
	{
		Threat:  "Staying in a room after the right to it was lost",
		Without: "the end that comes with an event",
		Patches: in("delivery/endings.go", "\t\t\ts.endRight(e.Channel, user, role)\n", "\t\t\t_, _, _ = s, user, role\n"),
		Tests:   []string{"cmd/app.TestARightThatIsLostEndsTheRoom", "delivery/ws.TestLosingARightEndsTheRoomAtOnce"},
	},
	{
		Threat:  "A refresh that changes who one is",
		Without: "the look at who one is",
		Patches: in("delivery/session/session.go", "\tif user.UserID != x.user.UserID || user.Role != x.user.Role {\n", "\tif false {\n"),
		Tests:   []string{"cmd/app.TestAPastIsReadByTheRightsOfNow"},
	},
	{
		Threat:  "An idempotency key of another user",
		Without: "the user in a key",
		Patches: in("commands/execute.go", "\tscope := r.Actor.UserID\n", "\tscope := \"everybody\"\n"),
		Tests:   []string{"commands.TestKeysOfDifferentUsersAreApart"},
	},
	{
		Threat:  "Exports by those who are no admins",
		Without: "the roles of an operation",
		Patches: in("delivery/rest/api.go", "\tif len(a.roles) > 0 && ", "\tif false && "),
		Tests:   []string{"delivery/rest.TestWhoMayExport"},
	},
}
