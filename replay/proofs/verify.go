package proofs

import (
	"context"
)

func (n *Notary) Verify(context.Context, func(done, of int64)) (Report, error) {
	return Report{}, context.Canceled
}
func VerifyBundle([]byte, []string) (BundleReport, error) { return BundleReport{}, context.Canceled }
