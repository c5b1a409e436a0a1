package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// What an event shows is its exact bytes, and a proof that needs nothing of klp-audit; from a record and from its export.
func TestEventsAreProven(t *testing.T) {
	m := storetest.TwoYears(t)
	s := m.OpenRecord()
	path := filepath.Join(t.TempDir(), "record.jsonl")
	f, err := os.Create(path)
	storetest.Check(t, err)
	storetest.Check(t, s.Export(t.Context(), f, 0))
	storetest.Check(t, f.Close())
	exported, v, err := store.OpenExport(t.Context(), path, "")
	storetest.Check(t, err)
	t.Cleanup(func() { exported.Close() })
	size, err := s.Size(t.Context())
	storetest.Check(t, err)
	root, err := proof.ParseCheckpoint(v.Checkpoint, v.Key)
	storetest.Check(t, err)
	all := readSchemas(t)
	for seq := int64(1); seq <= size; seq++ {
		for _, from := range []*store.Store{s, exported} {
			e, err := from.Evidence(t.Context(), seq)
			storetest.Check(t, err)
			shown := writtenEvents(t, &Events{List: []*store.Evidence{e}}, "json")
			checkAgainst(t, all, "events-1.json", shown)
			var read struct {
				Events []struct {
					Body      string
					Inclusion proof.Inclusion
				}
			}
			storetest.Check(t, json.Unmarshal([]byte(shown), &read))
			is := read.Events[0]
			if is.Body != string(e.Body) || is.Inclusion.Root != root.Root || is.Inclusion.Size != size {
				t.Errorf("event %d: %+v", seq, is)
			}
			if err := tlog.CheckRecord(is.Inclusion.Path, size, root.Root, seq-1, tlog.RecordHash([]byte(is.Body))); err != nil {
				t.Errorf("event %d: %v", seq, err)
			}
			checkPlain(t, "event", writtenEvents(t, &Events{List: []*store.Evidence{e}}, "table"), 80)
		}
	}
}

func writtenEvents(t *testing.T, x *Events, format string) string {
	t.Helper()
	var b strings.Builder
	storetest.Check(t, Write(&b, x, format, table.Style{Width: 80}))
	return b.String()
}
