package report

import (
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/say"
)

// hostileTexts are seeds: what a package, a user or a host must not get away with.
var hostileTexts = []string{
	"", "kernel-livepatch-6_4_0-150600_23_25-default", "1:15-150600.4.9.1", "a b  c", "   lead", "trail   ",
	"\x1b[2J\x1b]0;title\x07", "line\r\nline\ttab\x00nul", "\x9b31m", "\u202egnp.exe", "\u200b\u2028\ufeff\u0085", "\xff\xfe",
	"=cmd|' /C calc'!A0", "核心パッチ", "e\u0301e\u0301\u0302", "\u2764\ufe0f1\ufe0f\u20e3", "\U0001f1e9\U0001f1ea\U0001f468\u200d\U0001f469", "\u1100\u1161\u11a8", "\u0e33\u0e33", "\U000e0041",
}

func FuzzPrintable(f *testing.F) {
	for _, seed := range hostileTexts {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := say.Printable(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("Printable(%q) is %q", s, got)
		}
		if utf8.RuneCountInString(got) != utf8.RuneCountInString(s) {
			t.Errorf("Printable(%q) is %q: not a character for a character", s, got)
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, seed := range hostileTexts {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := compact(map[string][]string{s: {s}})
		if err != nil || slices.ContainsFunc([]rune(string(b)), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("compact(%q) is %q (%v)", s, b, err)
		}
		valid := string([]rune(s)) // one replacement for each wrong byte, as encoding/json has it
		var got map[string][]string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("compact(%q): %v", s, err)
		}
		if diff := cmp.Diff(map[string][]string{valid: {valid}}, got); diff != "" {
			t.Errorf("compact(%q) (-want +got):\n%s", s, diff)
		}
	})
}

// A cell is what encoding/csv makes of it, and neither a formula nor a control character.
func FuzzCell(f *testing.F) {
	for _, seed := range append(hostileTexts, `\.`, `say "no"`, "a,b", "-1", "@a", "a=b") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cell := harmless(say.Printable(s))
		if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
			t.Errorf("cell %q of %q is a formula", cell, s)
		}
		var want strings.Builder
		out := csv.NewWriter(&want)
		if out.Write([]string{"", cell}); out.Error() != nil {
			t.Fatal(out.Error())
		}
		out.Flush()
		if got := "," + string(appendCell(nil, s)) + "\n"; got != want.String() {
			t.Errorf("cell of %q is %q, want %q", s, got, want.String())
		}
	})
}
