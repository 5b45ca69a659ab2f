package guard

import "github.com/orderlog/orderlog/faults/patch"

// ofTokens keep off tokens that speak for nobody.
var ofTokens = []Guard{
	{
		Threat:  "A token without a signature, or by an algorithm that is not configured",
		Without: "the list of methods, and the choice of the key by the method",
		Patches: []patch.Patch{
			{File: "internal/auth/auth.go", Old: "		jwt.WithValidMethods(methods),\n"},
			{
				File: "internal/auth/auth.go",
				Old:  "		if token.Method == jwt.SigningMethodHS256 {\n",
				New: "		if token.Method == jwt.SigningMethodNone {\n			return jwt.UnsafeAllowNoneSignatureType, nil\n		}\n" +
					"		if token.Method == jwt.SigningMethodHS256 {\n",
			},
		},
		Tests: []string{"internal/auth.TestTokensThatAreNone"},
	},
	{
		Threat:  "A token without a signature, or by an algorithm that is not configured",
		Without: "the least length of a key",
		Patches: in("internal/auth/keyset.go", "pub.N.BitLen() < 2048", "pub.N.BitLen() < 1024"),
		Tests:   []string{"internal/auth.TestPublishedKeys"},
	},
	{
		Threat:  "A public key taken for a shared secret",
		Without: "the look at whether a secret is a published key",
		Patches: in("internal/auth/config.go", "block != nil {", "block != nil && false {"),
		Tests:   []string{"internal/auth.TestConfigurationsThatAreRefused"},
	},
	{
		Threat:  "A public key taken for a shared secret",
		Without: "the secret as the only key of HMAC",
		Patches: append(in("internal/auth/auth.go", "	\"errors\"\n", "	\"crypto/x509\"\n	\"encoding/pem\"\n	\"errors\"\n"), in("internal/auth/auth.go", "			return v.secret, nil\n", "			if v.keys != nil {\n				if set, err := v.keys.KeyReadAll(ctx); err == nil && len(set) > 0 {\n"+
			"					if der, err := x509.MarshalPKIXPublicKey(set[0].Key()); err == nil {\n"+
			"						return pem.EncodeToMemory(&pem.Block{Type: \"PUBLIC KEY\", Bytes: der}), nil\n					}\n				}\n			}\n			return v.secret, nil\n")...),
		Tests: []string{"internal/auth.TestAPublishedKeyIsNoSecret", "internal/auth.TestASecretAndAKeySetStayApart"},
	},
	{
		Threat:  "A token that brings its key along, or says where it is",
		Without: "the configured address as the only one, where a token names another (jku)",
		Patches: in("internal/auth/keyset.go", "		if !k.loaded.Load() && ",
			"		if at, ok := token.Header[\"jku\"].(string); ok {\n			k.url = at\n			_ = k.load(ctx)\n		}\n		if !k.loaded.Load() && "),
		Tests: []string{"internal/auth.TestATokenDoesNotSayWhereItsKeyIs"},
	},
	{
		Threat:  "A token that brings its key along, or says where it is",
		Without: "the configured secret, where a token names a file with another",
		Patches: []patch.Patch{
			{File: "internal/auth/auth.go", Old: "	\"fmt\"\n", New: "	\"fmt\"\n	\"os\"\n"},
			{
				File: "internal/auth/auth.go",
				Old:  "			return v.secret, nil\n",
				New: "			if name, ok := token.Header[\"kid\"].(string); ok {\n				if key, err := os.ReadFile(name); err == nil {\n" +
					"					return key, nil\n				}\n			}\n			return v.secret, nil\n",
			},
		},
		Tests: []string{"internal/auth.TestTheNameOfAKeyIsOnlyAName"},
	},
	{
		Threat:  "A token of another issuer or for another service",
		Without: "the issuer and the audience",
		Patches: in("internal/auth/auth.go", "jwt.WithIssuer(cfg.Issuer)", "jwt.WithIssuer(\"\")"),
		Tests:   []string{"internal/auth.TestIssuerAndAudience"},
	},
	{
		Threat:  "A token without end, before its time or after it",
		Without: "the end of a token, when it is read",
		Patches: in("internal/auth/auth.go", "	if !v.now().Before(id.ExpiresAt) {\n", "	if false {\n"),
		Tests:   []string{"internal/auth.TestClaims"},
	},
	{
		Threat:  "A token without end, before its time or after it",
		Without: "the bound on how long a token holds",
		Patches: in("internal/auth/auth.go", "	if until.After(latest) {\n", "	if false {\n"),
		Tests:   []string{"internal/auth.TestATokenHoldsNoLongerThanTimesCanBeWritten"},
	},
	{
		Threat:  "A token without end, before its time or after it",
		Without: "the end of a connection with its token",
		Patches: in("delivery/session/session.go", "	if !at.IsZero() {\n		x.expires", "	if at.IsZero() {\n		x.expires"),
		Tests:   []string{"delivery/ws.TestTokenThatExpiresEndsTheConnectionUnlessRefreshed"},
	},
	{
		Threat:  "A key that its issuer has withdrawn",
		Without: "the end of the keys that a load does not bring",
		Patches: in("internal/auth/keyset.go", "	if err := k.KeyReplaceAll(ctx, keys); err != nil {\n		return err\n	}\n",
			"	for _, key := range keys {\n		if err := k.KeyWrite(ctx, key); err != nil {\n			return err\n		}\n	}\n"),
		Tests: []string{"internal/auth.TestAKeyThatIsWithdrawnEndsItsTokens"},
	},
	{
		Threat:  "A key that its issuer has withdrawn",
		Without: "the load for a key that is not known",
		Patches: in("internal/auth/keyset.go", "	k.reload(ctx, known)\n", "	known()\n"),
		Tests:   []string{"internal/auth.TestANewKeyIsLoadedWhenATokenNamesIt"},
	},
	{
		Threat:  "Tokens that make the issuer or the program work",
		Without: "the bound on a token's length",
		Patches: in("internal/auth/auth.go", "	if len(raw) > maxTokenBytes {\n", "	if false {\n"),
		Tests:   []string{"internal/auth.TestTokensThatAreNone"},
	},
	{
		Threat:  "Tokens that make the issuer or the program work",
		Without: "the time between loads for unknown keys",
		Patches: in("internal/auth/keyset.go", "	if done() || !k.limiter.Allow() {\n", "	if done() {\n"),
		Tests:   []string{"internal/auth.TestUnknownKeysDoNotFloodTheIssuer"},
	},
	{
		Threat:  "A token in an address, where logs and histories keep it",
		Without: "the header as the only place of a token",
		Patches: in("delivery/rest/chain.go", "	identity, err := s.authenticate(r.Context(), r.Header)\n",
			"	if given := r.URL.Query().Get(\"token\"); given != \"\" {\n		r.Header.Set(\"Authorization\", \"Bearer \"+given)\n	}\n	identity, err := s.authenticate(r.Context(), r.Header)\n"),
		Tests: []string{"cmd/app.TestATokenInAnAddressIsNeverTaken"},
	},
}
