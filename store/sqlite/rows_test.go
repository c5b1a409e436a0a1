package sqlite

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A list is read as encoding/json reads it, by whichever path.
func FuzzParseTexts(f *testing.F) {
	for _, seed := range []string{"[]", `["a"]`, `["CVE-2026-1","CVE-2026-2"]`, `[""]`, `["",""]`, `[",",""]`, `["a" , "b"]`, `["a""b"]`, `["a","b","]`,
		`["\u003c","\\","\""]`, `["é","\u001b"]`, "[\"\xff\"]", "[\"a\x00\"]", `[null,"a"]`, `["a",1]`, `["]`, `"]`, `[" ]`, "null", "", `["a"]]`, `[["a"]]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := []string{}
		wrong := json.Unmarshal([]byte(text), &want)
		got, err := parseTexts(text)
		if (err != nil) != (wrong != nil) {
			t.Fatalf("parseTexts(%q): %v, encoding/json: %v", text, err, wrong)
		}
		if diff := cmp.Diff(want, got); err == nil && diff != "" {
			t.Errorf("parseTexts(%q) (-want +got):\n%s", text, diff)
		}
	})
}

// A column of the wrong type ends the page with an error, and without that row.
func TestColumnOfAnotherTypeIsAnError(t *testing.T) {
	db, err := OpenMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for query, want := range map[string]string{
		"SELECT 'a' UNION ALL SELECT 2":    "column 1 holds int64, not string",
		"SELECT 'a' UNION ALL SELECT NULL": "column 1 holds <nil>, not string",
	} {
		rows, err := ReadRows(t.Context(), db, query, nil, (*Cells).Text)
		if err == nil || err.Error() != want || len(rows) != 1 {
			t.Errorf("%s: %q and %v, want %s", query, rows, err, want)
		}
	}
	lists, err := ReadRows(t.Context(), db, `SELECT '["a"]' UNION ALL SELECT '["b"'`, nil, (*Cells).Texts)
	if err == nil || len(lists) != 1 {
		t.Errorf("half a list: %q and %v", lists, err)
	}
	n, err := ReadRows(t.Context(), db, `SELECT 7 UNION ALL SELECT NULL`, nil, (*Cells).NumberOrNil)
	if err != nil || len(n) != 2 || *n[0] != 7 || n[1] != nil {
		t.Errorf("a number and none: %v and %v", n, err)
	}
	if err := db.PingContext(t.Context()); err != nil {
		t.Errorf("the database is of no use after that: %v", err)
	}
}
