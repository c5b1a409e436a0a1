package observe

import (
	"errors"
	"fmt"
	"testing"

	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/internal/journal/journaltest"
	"github.com/klp-audit/klp-audit/record"
)

// What the journals of real boots prove at the end of each boot.
func TestVerdictsOfRealBoots(t *testing.T) {
	const p1, p2 = "livepatch_1_150600_2_36", "livepatch_2_150600_2_40"
	for _, tt := range []struct {
		scenario string
		boot     int
		patch    string // empty: the one that was active at the end
		want     string
	}{
		{"A", 0, p1, "contained boot"}, {"A", 1, "", "contained boot"}, {"A-prepivot", 0, p1, "contained boot"},
		{"B", 0, p1, "unknown no-build-evidence"}, {"B", 1, "", "unknown no-build-evidence"},
		{"B-early", 0, p1, "unknown no-build-evidence"},
		{"C", 0, p2, "unknown no-build-evidence"}, {"C", 1, p1, "contained boot"}, {"C", 1, "", "contained boot"},
		{"C", 1, p2, "unknown no-build-evidence"},
		{"D", 0, "", "unknown no-live-patch"},
		{"E", 0, p2, "unknown build-before-load"}, {"E", 1, p2, "contained boot"},
		{"E-verbose", 0, p1, "contained build"}, {"E-verbose", 0, p2, "missing build"},
		{"F", 0, p1, "contained boot"},
		{"K", 0, p2, "contained build"}, {"K", 0, "", "contained build"}, {"K", 1, p2, "contained boot"}, {"K", 0, p1, "missing build"},
		{"O-A", 0, p1, "contained boot"}, {"O-B", 0, p1, "unknown no-build-evidence"},
		{"R", 0, p1, "unknown boot-start-missing"}, {"R", 0, "", "unknown boot-start-missing"},
		{"T-C", 0, p2, "unknown no-build-evidence"}, {"T-C", 1, p1, "contained boot"},
		{"V", 0, p1, "contained boot"},
	} {
		t.Run(fmt.Sprintf("%s boot %d %s", tt.scenario, tt.boot+1, tt.patch), func(t *testing.T) {
			dir := journaltest.Unpack(t, tt.scenario)
			all, err := journal.Boots(t.Context(), dir, journal.Query{})
			if errors.Is(err, journal.ErrNoLibrary) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			v, err := JudgeJournal(t.Context(), JournalQuestion{Dir: dir, Boot: all[tt.boot].ID, Patch: tt.patch})
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%s %s%s", v.Verdict, v.Basis, v.Reason); got != tt.want {
				t.Errorf("got %s, want %s\n%+v", got, tt.want, v.Evidence)
			}
			if v.Verdict != record.VerdictUnknown && (len(v.Evidence) == 0 || v.Evidence[len(v.Evidence)-1].Cursor == "") {
				t.Errorf("evidence %+v", v.Evidence)
			}
		})
	}
}
