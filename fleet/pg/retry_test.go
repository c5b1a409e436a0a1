package pg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/klp-audit/klp-audit/fleet/pg"
)

// What a server, a coordinator or a worker says that goes down is no answer: the statement is run
// again. Other errors stay.
func TestRetry(t *testing.T) {
	code := func(code, message string) error { return &pgconn.PgError{Code: code, Message: message} }
	for _, c := range []struct {
		err   error
		again bool
	}{
		{code("57P01", "terminating connection due to administrator command"), true},
		{code("57P03", "the database system is in recovery mode"), true},
		{code("08006", "connection to the remote node failed"), true},
		{code("40P01", "deadlock detected"), true},
		{code("XX000", "postmaster was shut down, exiting"), true},
		{fmt.Errorf("failed to deallocate cached statement(s): %w", pgconn.ErrConnClosed), true},
		{io.ErrUnexpectedEOF, true},
		{code("XX000", "cache lookup failed"), false},
		{code("XX001", "invalid page"), false},
		{code("23505", "duplicate key"), false},
		{code("53100", "disk full"), false},
		{pg.ErrMoved, false},
		{context.Canceled, false},
	} {
		tries := 0
		err := pg.Retry(t.Context(), func() error {
			if tries++; tries == 1 {
				return c.err
			}
			return nil
		})
		if again := tries == 2; again != c.again || !again && !errors.Is(err, c.err) {
			t.Errorf("%v: %d tries, %v", c.err, tries, err)
		}
	}
}

// A server that does not come back is given up.
func TestRetryEnds(t *testing.T) {
	tries := 0
	err := pg.Retry(t.Context(), func() error { tries++; return io.ErrUnexpectedEOF })
	if tries != 5 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d tries, %v", tries, err)
	}
}
