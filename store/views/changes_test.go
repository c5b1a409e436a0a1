package views

import (
	"slices"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/store/sqlite"
)

// empty is a database with the views, and no row in them.
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

// The one list of columns is that of the view.
func TestChangeColumnsAreThoseOfTheView(t *testing.T) {
	want, err := sqlite.ReadRows(t.Context(), empty(t), `SELECT name FROM pragma_table_info('changes')`, nil, (*sqlite.Cells).Text)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(Names(ChangeColumns), ", "); !slices.Equal(got, want) {
		t.Errorf("the list has %q,\nthe view has %q", got, want)
	}
}
