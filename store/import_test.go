package store_test

import (
	"errors"
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

func imported(n int, im record.Import) *record.Event {
	return &record.Event{Header: header(record.KindImport, n), Import: &im}
}

func claim(pkg, sha string) record.ImportedChange {
	return record.ImportedChange{Change: install(pkg, "1-1", record.ResultOK), Time: at(-1000), UTCOffset: "+02:00", Line: record.HistoryLine{File: "history", Number: 7, SHA256: sha}}
}

// A later import of the same commit adds to it, and the views follow from events alone.
func TestImportInParts(t *testing.T) {
	s := open(t, newRoot(t))
	im, err := s.Imported(t.Context())
	check(t, err)
	first := record.Import{Commit: "c", Time: at(-1001), Command: "'zypper' 'up'", Changes: []record.ImportedChange{claim("kernel-default", "a")}}
	check(t, s.AppendImports(t.Context(), im, encoded(t, imported(1, first))))
	second := record.Import{Commit: "c", Time: at(-1001), Outcome: record.OutcomeFailed, Changes: []record.ImportedChange{claim("dracut", "b")},
		Advisories: []record.Advisory{{ID: "P", NewState: "applied"}, {ID: "Q", NewState: "needed"}}}
	check(t, s.AppendImports(t.Context(), im, encoded(t, imported(2, second))))
	rows := history(t, s, record.HistoryFilter{OldestFirst: true})
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, r := range rows {
		if *r.Commit != "c" || *r.Outcome != record.OutcomeFailed || *r.Command != "'zypper' 'up'" || len(r.Advisories) != 1 || r.Source != "import" ||
			r.Time != at(-1000) || r.TimeSource != "history" || r.UTCOffset != "+02:00" || r.BootID != "" {
			t.Errorf("%+v", r)
		}
	}
	if open, err := s.OpenCommits(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("an imported commit is open: %v, %v", open, err)
	}
	im, err = s.Imported(t.Context())
	check(t, err)
	if !im.Has(record.HistoryLine{SHA256: "a"}) || !im.Has(record.HistoryLine{SHA256: "b"}) || im.Has(record.HistoryLine{SHA256: "b", Copy: 2}) || im.Outcome("c") != "failed" {
		t.Errorf("%+v", im)
	}
	v, err := s.Verify(t.Context(), "")
	check(t, err)
	if v.Result != proof.Intact {
		t.Errorf("%q", v.Problems)
	}
}

// An imported commit is never open, not even while it ran.
func TestImportedCommitIsNotOpenWhileItRan(t *testing.T) {
	s := open(t, newRoot(t))
	im, err := s.Imported(t.Context())
	check(t, err)
	ran := record.Import{Commit: "c", Time: at(-1001), Changes: []record.ImportedChange{claim("kernel-default", "a")}}
	check(t, s.AppendImports(t.Context(), im, encoded(t, imported(1, ran))))
	if open, err := s.CommitsOpenAt(t.Context(), at(-1001).Time); err != nil || len(open) != 0 {
		t.Errorf("got %v, %v", open, err)
	}
}

// An import adds nothing if others have written to the record since it looked.
func TestImportOfAMovedRecord(t *testing.T) {
	root := newRoot(t)
	s := open(t, root)
	im, err := s.Imported(t.Context())
	check(t, err)
	write(t, root, begin(1))
	err = s.AppendImports(t.Context(), im, encoded(t, imported(2, record.Import{Commit: "c", Changes: []record.ImportedChange{claim("dracut", "a")}})))
	if !errors.Is(err, store.ErrMoved) || len(history(t, s, record.HistoryFilter{})) != 0 {
		t.Errorf("got %v", err)
	}
}

func encoded(t *testing.T, ev *record.Event) []byte {
	t.Helper()
	body, err := record.Encode(ev)
	check(t, err)
	return body
}
