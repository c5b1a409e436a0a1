package store

import (
	"slices"
	"strings"
	"testing"
)

// The one list of columns is that of the view.
func TestChangeColumnsAreThoseOfTheView(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir(), "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want, err := readRows(t.Context(), s.db, `SELECT name FROM pragma_table_info('changes')`, nil, (*cells).text)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(names(changeColumns), ", "); !slices.Equal(got, want) {
		t.Errorf("the list has %q,\nthe view has %q", got, want)
	}
}
