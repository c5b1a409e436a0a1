package view

import (
	"database/sql"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	_ "github.com/mattn/go-sqlite3"

	"github.com/klp-audit/klp-audit/record"
)

// glob is GLOB of SQLite.
func TestGlob(t *testing.T) {
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r := rand.New(rand.NewPCG(1, 2))
	text := func(letters string, most int) string {
		s := make([]rune, r.IntN(most+1))
		for i := range s {
			s[i] = []rune(letters)[r.IntN(len([]rune(letters)))]
		}
		return string(s)
	}
	matches := 0
	for range 30_000 {
		pattern, name := text("ab*?[]^-aü", 9), text("abc-]^[ü", 5)
		var want bool
		if err := db.QueryRow(`SELECT ? GLOB ?`, name, pattern).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if got := glob(pattern, name); got != want {
			t.Errorf("%q GLOB %q: got %t, want %t", name, pattern, got, want)
		}
		if want {
			matches++
		}
	}
	if matches < 500 {
		t.Errorf("only %d match", matches)
	}
}

func TestEveryKindHasAnOutline(t *testing.T) {
	want := slices.Sorted(slices.Values(record.EventKinds()))
	if got := slices.Sorted(maps.Keys(outliners)); !slices.Equal(got, want) {
		t.Errorf("outlines know %q, want %q", got, want)
	}
}
