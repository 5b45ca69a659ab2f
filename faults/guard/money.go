package guard

import "github.com/orderlog/orderlog/faults/patch"

// ofMoney keep money right.
var ofMoney = []Guard{
	{
		Threat:  "A forged event of the payment provider",
		Without: "the look at the signature",
		Patches: in("delivery/rest/webhook.go", "\tif !hmac.Equal(given, mac.Sum(nil)) {\n", "\tif false {\n\t\t_ = given\n"),
		Tests:   []string{"delivery/rest.TestSignatures"},
	},
	{
		Threat:  "A forged event of the payment provider",
		Without: "the refusal where there is no secret",
		Patches: in("delivery/rest/webhook.go", "\tif len(secret) == 0 {\n", "\tif false {\n"),
		Tests:   []string{"delivery/rest.TestWithoutASecretNoEventIsTaken"},
	},
	{
		Threat:  "A forged event of the payment provider",
		Without: "a comparison that takes as long for every signature",
		Patches: []patch.Patch{
			{File: "delivery/rest/webhook.go", Old: "\t\"context\"\n", New: "\t\"bytes\"\n\t\"context\"\n"},
			{File: "delivery/rest/webhook.go", Old: "!hmac.Equal(given, mac.Sum(nil))", New: "!bytes.Equal(given, mac.Sum(nil))"},
		},
		Tests: []string{"cmd/app.TestSecretsAreComparedInConstantTime"},
	},
	{
		Threat:  "An event of the provider sent again, as it was or with another amount",
		Without: "the event's id as a key",
		Patches: in("commands/provider.go", "\treq.Key, req.Fingerprint = cmd.EventID, providerFingerprint\n", "\t_ = providerFingerprint\n"),
		Tests:   []string{"cmd/app.TestPaymentsOverREST", "commands.TestAnEventOfTheProviderCountsOnce"},
	},
	{
		Threat:  "An event of the provider sent again, as it was or with another amount",
		Without: "the time when it was signed",
		Patches: in("delivery/rest/webhook.go", "age > maxSkew || age < -maxSkew", "false && age > maxSkew"),
		Tests:   []string{"delivery/rest.TestWhatWasSignedLongAgoIsRefused"},
	},
	{
		Threat:  "Paying another amount than was asked, getting back more than was paid",
		Without: "the amount that was asked for",
		Patches: in("domain/payment/capture.go", "\tif cmd.Amount != p.Amount || cmd.Currency != p.Currency {\n", "\tif false {\n"),
		Tests:   []string{"domain/payment.TestOtherMoneyThanWasAskedForIsRefused"},
	},
	{
		Threat:  "Paying another amount than was asked, getting back more than was paid",
		Without: "the bound on what is given back",
		Patches: in("domain/payment/refund.go", "\tif amount <= 0 || amount > p.Refundable() {\n", "\tif amount <= 0 {\n"),
		Tests:   []string{"domain/payment.TestTheMoneyAddsUpWhateverHappens"},
	},
	{
		Threat:  "A price that the client makes up",
		Without: "the passing over of a price",
		Patches: in("delivery/rest/orders.go", "\t\titems[i] = commands.OrderItem{Product: item.Product, Quantity: item.Quantity}\n", "\t\titems[i] = commands.OrderItem{Product: item.Product, Quantity: item.Quantity}\n\t\tif price, given := item.Price.(float64); given {\n\t\t\titems[i].Quantity = int64(price)\n\t\t}\n"),
		Tests:   []string{"delivery/rest.TestAPriceFromTheClientChangesNothing"},
	},
	{
		Threat:  "A price that the client makes up",
		Without: "the menu's price",
		Patches: in("domain/order/place.go", "domain.Money{Amount: p.Price, Currency: p.Currency}", "domain.Money{Amount: 1, Currency: p.Currency}"),
		Tests:   []string{"cmd/app.TestAnOrdersLife"},
	},
}
