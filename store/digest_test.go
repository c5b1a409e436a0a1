package store

import (
	"testing"

	"github.com/klp-audit/klp-audit/store/sqlite"
	"github.com/klp-audit/klp-audit/store/views"
)

// The digest that writers compare with matches the SQL.
func TestDigestOfTheTables(t *testing.T) {
	fresh, err := sqlite.OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if _, err := fresh.Exec(logSchema + views.SQL); err != nil {
		t.Fatal(err)
	}
	l, err := layoutOf(t.Context(), fresh)
	if err != nil {
		t.Fatal(err)
	}
	if views.Layouts[Schema] != views.SQL {
		t.Errorf("Layouts has no views of version %d: the next release would call its records altered", Schema)
	}
	if l.digest != views.Digest {
		t.Errorf("the digest is %s", l.digest)
	}
	for _, name := range append([]string{"events", "hashes", "checkpoint"}, views.Tables...) {
		if got, want := tableSQL(logSchema+views.SQL, name), l.objects["table "+name+" "+name]; got != want {
			t.Errorf("table %s: %q, want %q", name, got, want)
		}
	}
}
