package views

import (
	"slices"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/store/sqlite"
)

// empty is a database with the views, without rows.
func empty(t *testing.T) *sqlite.DB {
	t.Helper()
	db, err := sqlite.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(SQL); err != nil {
		t.Fatal(err)
	}
	return db
}

// The list of columns matches the view.
func TestChangeColumnsAreThoseOfTheView(t *testing.T) {
	want, err := sqlite.ReadRows(t.Context(), empty(t), `SELECT name FROM pragma_table_info('changes')`, nil, (*sqlite.Cells).Text)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(Names(ChangeColumns), ", "); !slices.Equal(got, want) {
		t.Errorf("the list has %q,\nthe view has %q", got, want)
	}
}
