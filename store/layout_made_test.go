package store

import (
	"context"
	"database/sql"
	"testing"

	"github.com/klp-audit/klp-audit/store/sqlite"
)

// meddled lets something happen to a database after the reader's first statements.
type meddled struct {
	sqlite.Querier
	before int
	do     func()
}

func (m *meddled) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if m.before--; m.before == 0 {
		m.do()
	}
	return m.Querier.QueryRowContext(ctx, query, args...)
}

// Whoever opens a record while another process creates it sees nothing or all of it.
func TestOpenedWhileItIsMade(t *testing.T) {
	for before := 1; before <= 4; before++ {
		root := t.TempDir()
		if err := createFile(root, Path(root)); err != nil {
			t.Fatal(err)
		}
		db, err := sqlite.OpenReadOnly(t.Context(), Path(root))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		l, err := layoutOf(t.Context(), &meddled{db, before, func() {
			s, err := Open(t.Context(), root, "1.0.0")
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}})
		if err != nil || !l.exact() {
			t.Errorf("made before statement %d: %+v, %v", before, l, err)
		}
	}
}
