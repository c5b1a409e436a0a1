package table

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"github.com/klp-audit/klp-audit/internal/say"
)

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 5, []string{""}},
		{"short", 5, []string{"short"}},
		{"blank at cut", 5, []string{"blank", "at", "cut"}},
		{"a-b two words", 9, []string{"a-b two", "words"}},
		{"kernel-livepatch-6_4_0-default", 18, []string{"kernel-livepatch-", "6_4_0-default"}},
		{"unbreakable", 4, []string{"unbr", "eaka", "ble"}},
		{"核心パッチ", 4, []string{"核心", "パッ", "チ"}},
		{"核心", 1, []string{"核", "心"}},
		{"e\u0301e\u0301e\u0301", 2, []string{"e\u0301e\u0301", "e\u0301"}},
		{"ab   ", 2, []string{"ab"}},
	} {
		if diff := cmp.Diff(test.want, Wrap(test.text, test.width)); diff != "" {
			t.Errorf("Wrap(%q, %d) (-want +got):\n%s", test.text, test.width, diff)
		}
	}
}

func FuzzWrap(f *testing.F) {
	for i, seed := range []string{"", "a-b two  words ", "核心パッチ", "e\u0301e\u0301\u0302", "\u2764\ufe0f1\ufe0f\u20e3", "\U0001f1e9\U0001f1ea\U0001f468\u200d\U0001f469", "\u1100\u1161\u11a8", "\u0e33\u0e33"} {
		f.Add(seed, i)
	}
	f.Fuzz(func(t *testing.T, s string, width int) {
		s = say.Printable(s)
		width = max(width%200, 1)
		lines := Wrap(s, width)
		blank := strings.NewReplacer(" ", "")
		if blank.Replace(strings.Join(lines, "")) != blank.Replace(s) {
			t.Errorf("Wrap(%q, %d) is %q: something is lost", s, width, lines)
		}
		for _, line := range lines {
			if w := twwidth.Width(line); w > width && (width > 1 || w > 2) {
				t.Errorf("Wrap(%q, %d): %q has %d columns", s, width, line, w)
			}
		}
	})
}
