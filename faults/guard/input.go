package guard

import "github.com/orderlog/orderlog/faults/patch"

// ofInput keep what is sent from being more than data.
var ofInput = []Guard{
	{
		Threat:  "SQL and odd values in paths, filters and cursors",
		Without: "the parameter of a filter",
		Patches: []patch.Patch{
			{File: "projections/views.go", Old: "\t\tadd(\"customer_id =\", q.Customer)\n", New: "\t\tadd(\"customer_id = '\"+q.Customer+\"' OR customer_id =\", q.Customer)\n"},
			{File: "delivery/rest/orders.go", Old: "q.Customer != \"\" && q.Customer != id.UserID", New: "false"},
			{File: "delivery/rest/orders.go", Old: "\t\tq.Customer = id.UserID\n", New: "\t\t_ = q\n"},
		},
		Tests: []string{"cmd/app.TestNoFilterReachesBeyondItsCaller"},
	},
	{
		Threat:  "What is small on the way and large when unpacked",
		Without: "the refusal of codings",
		Patches: in("delivery/rest/form.go", "encoding != \"\" && !strings.EqualFold(encoding, \"identity\")", "encoding == \"none\""),
		Tests:   []string{"cmd/app.TestNothingIsDecompressed"},
	},
	{
		Threat:  "Bodies that are deep, long or numerous",
		Without: "a refusal of what does not fit its schema that is none of the program's own faults",
		Patches: in("delivery/rest/problem.go", "	case status >= 400 && status < 500:\n", "	case false:\n"),
		Tests:   []string{"cmd/app.TestBombsAreRefused"},
	},
	{
		Threat:  "Bodies that are deep, long or numerous",
		Without: "the refusal of a name twice",
		Patches: in("delivery/rest/form.go", "; twice {", "; twice && false {"),
		Tests:   []string{"delivery/rest.TestBodiesThatCanBeReadInTwoWays"},
	},
	{
		Threat:  "Bodies that are deep, long or numerous",
		Without: "the bound on a body",
		Patches: in("delivery/rest/call.go", "\tmaxBodyBytes    = 64 << 10", "\tmaxBodyBytes    = 1 << 40"),
		Tests:   []string{"delivery/rest.TestLargeBodiesAreRefusedUnread"},
	},
	{
		Threat:  "Bodies that are deep, long or numerous",
		Without: "the bound on a message",
		Patches: in("delivery/socket/read.go", "c.in.limit = limit", "c.in.limit = limit << 20"),
		Tests:   []string{"delivery/socket.TestTheReadLimitHoldsForAMessage"},
	},
	{
		Threat:  "Bodies that are deep, long or numerous",
		Without: "the bound on attachments",
		Patches: in("delivery/socketio/packet/decoder.go", "if d.bytes += len(data); d.bytes > d.maxBytes() {", "if d.bytes += len(data); false {"),
		Tests:   []string{"delivery/socketio/packet.TestAPacketIsGatheredWithinBounds"},
	},
	{
		Threat:  "A body that two readers read in two ways",
		Without: "the refusal of a name twice",
		Patches: in("delivery/rest/form.go", "; twice {", "; twice && false {"),
		Tests:   []string{"delivery/rest.TestBodiesThatCanBeReadInTwoWays"},
	},
	{
		Threat:  "A body that two readers read in two ways",
		Without: "the letters of a claim as they are",
		Patches: in("internal/auth/auth.go", "\troleName, _ := claims[\"role\"].(string)\n", "\troleName, _ := claims[\"role\"].(string)\n\tfor name, value := range claims {\n\t\tif name != \"role\" && strings.EqualFold(name, \"role\") {\n\t\t\troleName, _ = value.(string)\n\t\t}\n\t}\n"),
		Tests:   []string{"internal/auth.TestASecondClaimInOtherLettersGrantsNothing"},
	},
	{
		Threat:  "Names that mean something to a browser, a spreadsheet or a runtime",
		Without: "the apostrophe before a formula",
		Patches: in("replay/csv.go", "\t\trow[i] = harmless(cell)\n", "\t\trow[i] = cell\n"),
		Tests:   []string{"replay.TestNoCellIsAFormulaAndNothingIsLost"},
	},
	{
		Threat:  "Names that mean something to a browser, a spreadsheet or a runtime",
		Without: "names as they are, where < is changed for browsers that should not take it for more than text",
		Patches: []patch.Patch{
			{File: "delivery/rest/products.go", Old: "	\"context\"\n", New: "	\"context\"\n	\"html\"\n"},
			{
				File: "delivery/rest/products.go",
				Old:  "			Name: in.Body.Name, Description: in.Body.Description, Price: in.Body.Price, Currency",
				New:  "			Name: html.EscapeString(in.Body.Name), Description: in.Body.Description, Price: in.Body.Price, Currency",
			},
		},
		Tests: []string{"cmd/app.TestOddNamesArePlainData"},
	},
	{
		Threat:  "Requests that a proxy and the server cut in two ways",
		Without: "the end of the connection",
		Patches: in("cmd/app/front.go", "f.draining.Load() || len(r.TransferEncoding) > 0", "f.draining.Load()"),
		Tests:   []string{"cmd/app.TestRequestsThatTwoServersReadInTwoWays"},
	},
	{
		Threat:  "Headers made by what a client sent",
		Without: "the form of an id",
		Patches: in("delivery/rest/chain.go", "h.Set(\"X-Request-Id\", c.id.String())", "h.Set(\"X-Request-Id\", cmp.Or(r.Header.Get(\"X-Request-Id\"), c.id.String()))"),
		Tests:   []string{"delivery/rest.TestRequestIDs", "cmd/app.TestRequestsThatTwoServersReadInTwoWays"},
	},
	{
		Threat:  "Lines of the log made by what a client sent",
		Without: "the quotes of slog",
		Patches: []patch.Patch{
			{File: "internal/config/config.go", Old: "	\"fmt\"\n", New: "	\"bytes\"\n	\"fmt\"\n"},
			{File: "internal/config/config.go", Old: "slog.NewTextHandler(w, options)", New: "slog.NewTextHandler(unquoted{w}, options)"},
			{
				File: "internal/config/config.go",
				Old:  "// Secret is a key that",
				New: "type unquoted struct{ io.Writer }\n\nfunc (u unquoted) Write(line []byte) (int, error) {\n" +
					"	_, err := u.Writer.Write(bytes.ReplaceAll(line, []byte(`\\x1b`), []byte(\"\\x1b\")))\n	return len(line), err\n}\n\n// Secret is a key that",
			},
		},
		Tests: []string{"cmd/app.TestNoSecretIsShown"},
	},
}
