package guard

import "github.com/orderlog/orderlog/faults/patch"

// ofSecrets keep secrets.
var ofSecrets = []Guard{
	{
		Threat:  "Secrets in logs, errors, answers, `/metrics`, `--help`",
		Without: "the leaving out of queries",
		Patches: in("delivery/rest/chain.go", "\"path\", r.URL.Path, \"status\"", "\"path\", r.URL.String(), \"status\""),
		Tests:   []string{"cmd/app.TestNoSecretIsShown", "delivery/rest.TestATicketIsNotLogged"},
	},
	{
		Threat:  "Secrets in logs, errors, answers, `/metrics`, `--help`",
		Without: "the format of a secret",
		Patches: in("internal/config/config.go", "func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hidden) }", "func (x Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, string(x)) }"),
		Tests:   []string{"internal/config.TestSecretsAreNotShown"},
	},
	{
		Threat:  "Secrets in logs, errors, answers, `/metrics`, `--help`",
		Without: "the refusals in words of our own",
		Patches: in("internal/auth/auth.go", "\t\treturn Identity{}, refusal(err)\n", "\t\treturn Identity{}, refuse(\"%s: %v\", raw, refusal(err))\n"),
		Tests:   []string{"internal/auth.TestARefusalDoesNotRepeatTheToken"},
	},
	{
		Threat:  "Generated secrets where others can reach the program",
		Without: "the refusal to start",
		Patches: in("internal/config/config.go", "\tif isLoopback(c.Host) {\n", "\tif true {\n"),
		Tests:   []string{"internal/config.TestWhatIsRefused"},
	},
	{
		Threat:  "A backup, or the tables, read for what lets somebody in",
		Without: "the digest of a ticket",
		Patches: in("delivery/sse/tickets.go", "\tdigest := sha256.Sum256([]byte(ticket))\n\terr := t.pool.QueryRow(ctx, issueTicketSQL,\n\t\tdigest[:], ", "\terr := t.pool.QueryRow(ctx, issueTicketSQL,\n\t\t[]byte(ticket), "),
		Tests:   []string{"delivery/sse.TestATicketIsNotStored"},
	},
	{
		Threat:  "Learning from refusals",
		Without: "the bareness of a refusal",
		Patches: []patch.Patch{
			{File: "delivery/rest/orders.go", Old: "\"this order is somebody else's\"", New: "fmt.Sprintf(\"this order is of %s: %+v\", found.CustomerName, found)"},
			{File: "delivery/rest/orders.go", Old: "\t\"context\"\n", New: "\t\"context\"\n\t\"fmt\"\n"},
		},
		Tests: []string{"cmd/app.TestARefusalSaysNothingOfWhatIsRefused"},
	},
}
