package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// asExpected makes a batch of requests on the assumption that every stream is at the version that its first
// request expects and that no idempotency key was used before, which is the usual case: then the batch needs
// no look-up and one round trip. Seqs are counted from the head, which is not known yet. It answers false
// when something does not fit even so; the batch has to be looked up then.
func asExpected(requests []*request) (*batch, bool) {
	b := newBatch(requests)
	b.relative = true
	for _, r := range requests {
		for _, sa := range r.Streams {
			if _, known := b.at[sa.Stream]; !known && sa.Expected == AnyVersion {
				return nil, false
			}
			b.name(sa.Stream, sa.Expected)
		}
	}
	b.decide()
	for _, out := range b.outcomes {
		if out.err != nil {
			return nil, false
		}
	}
	return b, true
}

// writeAsExpected stores the batch in one statement, sqlAppend, which is its own transaction. It answers false, and has
// stored nothing, when the assumption was wrong.
func (b *batch) writeAsExpected(ctx context.Context, conn *pgxpool.Conn, statement *pgconn.StatementDescription) (stored bool, err error) {
	answer := conn.Conn().PgConn().ExecStatement(ctx, statement, b.parameters(), binaryFormat, binaryFormat).Read()
	var pgErr *pgconn.PgError
	switch {
	case errors.As(answer.Err, &pgErr) && (pgErr.Code == "OL001" || pgErr.Code == "23505"):
		return false, nil
	case answer.Err != nil:
		return false, fmt.Errorf("append as expected: %w", answer.Err)
	}
	var head int64
	var at time.Time
	types, row := conn.Conn().TypeMap(), answer.Rows[0]
	if err := errors.Join(types.Scan(pgtype.Int8OID, pgtype.BinaryFormatCode, row[0], &head),
		types.Scan(pgtype.TimestamptzOID, pgtype.BinaryFormatCode, row[1], &at)); err != nil {
		return false, fmt.Errorf("append as expected: %w", err)
	}
	b.settle(head, at)
	return true, nil
}

var binaryFormat = []int16{pgtype.BinaryFormatCode} // of all parameters, or all columns

// settle turns what was counted from the head into what it is.
func (b *batch) settle(head int64, at time.Time) {
	if !b.relative {
		return
	}
	b.relative = false
	for i := range b.outcomes {
		r := &b.outcomes[i].result
		if r.FirstSeq > 0 {
			r.FirstSeq += head
		}
		r.LastSeq += head
		r.RecordedAt = at.UTC()
	}
	b.oldHead, b.head = head, b.head+head
}
