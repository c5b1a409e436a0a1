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

// What was altered is shown without a proof.
func TestAlteredEventHasNoProof(t *testing.T) {
	m := storetest.TwoYears(t)
	path := filepath.Join(t.TempDir(), "record.jsonl")
	var b strings.Builder
	storetest.Check(t, m.OpenRecord().Export(t.Context(), &b, 0))
	storetest.Check(t, os.WriteFile(path, []byte(strings.Replace(b.String(), `"trigger":"boot"`, `"trigger":"root"`, 1)), 0o600))
	s, v, err := store.OpenExport(t.Context(), path, "")
	storetest.Check(t, err)
	defer s.Close()
	altered := 0
	for seq := int64(1); seq <= v.TreeSize; seq++ {
		e, err := s.Evidence(t.Context(), seq)
		storetest.Check(t, err)
		if is := strings.Contains(string(e.Body), `"trigger":"root"`); is {
			altered++
			if e.Inclusion != nil || !strings.Contains(writtenEvents(t, &Events{List: []*store.Evidence{e}}, "table"), "no checkpoint signs it as it is here") {
				t.Errorf("event %d: %+v", seq, e.Inclusion)
			}
		} else if e.Inclusion == nil {
			t.Errorf("event %d has no proof", seq)
		}
	}
	if altered != 1 || v.Result != proof.Altered {
		t.Errorf("%d events are altered, %s", altered, v.Result)
	}
}

func writtenEvents(t *testing.T, x *Events, format string) string {
	t.Helper()
	var b strings.Builder
	storetest.Check(t, Write(&b, x, format, table.Style{Width: 80}))
	return b.String()
}
