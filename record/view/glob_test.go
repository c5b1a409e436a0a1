package view

import (
	"database/sql"
	"math/rand/v2"
	"testing"

	_ "github.com/mattn/go-sqlite3"
)

// glob matches like SQLite's GLOB.
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
