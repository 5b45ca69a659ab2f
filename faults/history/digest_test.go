package history

import "testing"

// Socket.IO's payloads have their seq inside, and encoders order members as they like.
func TestADigestDependsOnWhatIsSaidAlone(t *testing.T) {
	t.Parallel()
	digest := func(text string) uint64 {
		t.Helper()
		d, err := Digest([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first := digest(`{"orderId":"a","totalAmount":1900,"items":[{"n":1},{"n":2}]}`)
	if same := digest("{ \"items\": [ {\"n\":1}, {\"n\":2} ],\n \"totalAmount\":1900, \"orderId\":\"a\" }"); same != first {
		t.Error("the order of members and white space count")
	}
	for _, other := range []string{
		`{"orderId":"a","totalAmount":1901,"items":[{"n":1},{"n":2}]}`,
		`{"orderId":"a","totalAmount":1900,"items":[{"n":2},{"n":1}]}`,
		`{"orderId":"a","totalAmount":9007199254740993,"items":[]}`,
		`{"orderId":"a","totalAmount":9007199254740992,"items":[]}`,
	} {
		if digest(other) == first {
			t.Errorf("%s has the digest of another value", other)
		}
	}
	if digest(`9007199254740993`) == digest(`9007199254740992`) {
		t.Error("large numbers are rounded")
	}
	if _, err := Digest([]byte(`{"a":`)); err == nil {
		t.Error("half a value has a digest")
	}
}
