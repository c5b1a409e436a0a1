package store

import (
	"net/url"
	"testing"
)

// What writers compare with is what the SQL makes.
func TestDigestOfTheTables(t *testing.T) {
	fresh, err := openDB(":memory:", url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if _, err := fresh.Exec(logSchema + viewSchema); err != nil {
		t.Fatal(err)
	}
	l, err := layoutOf(t.Context(), fresh)
	if err != nil {
		t.Fatal(err)
	}
	if layouts[Schema] != viewSchema {
		t.Errorf("layouts has no views of version %d: the next release would call its records altered", Schema)
	}
	if l.digest != digest {
		t.Errorf("the digest is %s", l.digest)
	}
	for _, name := range append([]string{"events", "hashes", "checkpoint"}, views...) {
		if got, want := tableSQL(logSchema+viewSchema, name), l.objects["table "+name+" "+name]; got != want {
			t.Errorf("table %s: %q, want %q", name, got, want)
		}
	}
}
