package report

import (
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

// Every verdict is a sentence that says what is proven and why, or why it is not, and a
// hostile name obeys to nothing.
func TestInitrdText(t *testing.T) {
	for _, b := range []record.Basis{record.BasisBuild, record.BasisBoot, record.BasisInferred, record.BasisImage} {
		for _, v := range []record.Verdict{record.VerdictContained, record.VerdictMissing} {
			text := InitrdText(record.Initrd{KernelRelease: "k", Patch: "p\x1b[2J", Verdict: v, Basis: b})
			if basisText[b] == "" || !strings.Contains(text, basisText[b]) || strings.Contains(text, "\x1b") {
				t.Errorf("%s %s: %q", v, b, text)
			}
		}
	}
	for reason, why := range reasonText {
		for _, patch := range []string{"p", ""} {
			text := InitrdText(record.Initrd{Patch: patch, Verdict: record.VerdictUnknown, Reason: reason})
			if !strings.HasPrefix(text, "UNKNOWN: ") || !strings.Contains(text, why) || !strings.Contains(text, string(reason)) || strings.Contains(text, "  ") {
				t.Errorf("%s: %q", reason, text)
			}
		}
	}
	if text := InitrdText(record.Initrd{Verdict: record.VerdictUnknown, Reason: record.ReasonNoPatch}); !strings.Contains(text, "no live patch is active") {
		t.Error(text)
	}
}

func TestBootsTable(t *testing.T) {
	at := record.At(testNow)
	boots := []record.Boot{{
		ID: strings.Repeat("a", 32), First: at, Last: at, MessagesLost: true, Incomplete: true,
		Loads:  []record.Load{{Patch: "livepatch_1\x1b[2J", Phase: "unknown", Result: "unknown", Time: at}},
		Builds: []record.Build{{KernelRelease: "6.4.0", Image: "/boot/initrd\n", Modules: []string{"l.ko"}, Time: at}},
	}}
	unread := []record.UnreadFile{{Path: "/j/\x1b[2J.journal", Why: "damaged"}}
	for _, width := range []int{0, 60, 80, 200} {
		var b strings.Builder
		if err := Write(&b, &Boots{record.Journal{Boots: boots, Unread: unread}}, "table", table.Style{Width: width}); err != nil {
			t.Fatal(err)
		}
		checkPlain(t, "boots", b.String(), table.Style{Width: width}.Sized().Width)
	}
	var b strings.Builder
	if err := Write(&b, &Boots{record.Journal{}}, "table", table.Style{}); err != nil || b.String() != "No boots in this journal.\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}
