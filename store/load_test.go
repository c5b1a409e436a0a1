package store_test

import (
	"bytes"
	"database/sql"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// Views built from a whole log at once equal those built event by event, whatever happened; and a
// log always gives the same file.
func TestViewsAtOnceAreThoseOfEachEvent(t *testing.T) {
	for seed := range uint64(storetest.Few(10, 60)) {
		m := storetest.RandomMachine(t, storetest.NewRand(seed))
		m.Flush()
		grown, twin := viewRows(t, m.Root), t.TempDir()
		storetest.Check(t, os.CopyFS(twin, os.DirFS(m.Root)))
		rebuild(t, m.Root)
		if diff := cmp.Diff(grown, viewRows(t, m.Root)); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		if rebuild(t, twin); !bytes.Equal(file(t, m.Root), file(t, twin)) {
			t.Fatalf("seed %d: the same log makes two files", seed)
		}
	}
}

func rebuild(t *testing.T, root string) {
	t.Helper()
	s, err := store.Open(t.Context(), root, "1.0.0")
	storetest.Check(t, err)
	storetest.Check(t, s.Rebuild(t.Context()))
	storetest.Check(t, s.Close())
}

func file(t *testing.T, root string) []byte {
	t.Helper()
	b, err := os.ReadFile(store.Path(root))
	storetest.Check(t, err)
	return b
}

// viewRows are the rows of all tables of a record, each as text.
func viewRows(t *testing.T, root string) map[string][]string {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+store.Path(root)+"?mode=ro")
	storetest.Check(t, err)
	defer db.Close()
	rows := map[string][]string{}
	for _, table := range texts(t, db, `SELECT name FROM sqlite_schema WHERE type = 'table'`) {
		columns := texts(t, db, `SELECT group_concat('quote("' || name || '")', ' || ''|'' || ') FROM pragma_table_info('`+table+`')`)
		rows[table] = texts(t, db, `SELECT `+columns[0]+` FROM "`+table+`"`)
		slices.Sort(rows[table])
	}
	return rows
}

func texts(t *testing.T, db *sql.DB, query string) (list []string) {
	t.Helper()
	rows, err := db.Query(query)
	storetest.Check(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		storetest.Check(t, rows.Scan(&text))
		list = append(list, text)
	}
	storetest.Check(t, rows.Err())
	return list
}
