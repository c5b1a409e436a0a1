package livepatch

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

// changelog is the changelog of a live patch as in SUSE's packages: two fixes, the second one
// without a KLP line, and a commit that concerns only the package.
const changelog = `* Tue May 13 2025 one@example.com
- Fix for CVE-2024-53042 ("ipv4: a fix for CVE-2020-9999")
  Live patch for CVE-2024-53042. Upstream commit:
- ad4a3ca6a8e8 ("ipv4: ip_tunnel: Fix suspicious RCU usage warning in ip_tunnel_init_flow()")
  KLP: CVE-2024-53042
  References: bsc#1233678 CVE-2024-53042
- commit 0e9769c

* Mon May 12 2025 two@example.com
- Bump up the version number in spec file
  References: bsc#1
- commit 1234567
- Fix for CVE-2024-26923 ("af_unix: Fix garbage collector racing against connect()")
  It is related to CVE-2019-0001.
  References: bnc#1223683, fate#320268
- commit 89abcde
`

func TestParseFixes(t *testing.T) {
	for name, test := range map[string]struct {
		changelog string
		want      record.Fixes
	}{
		"nothing":               {"", record.Fixes{}},
		"none":                  {"(none)\n", record.Fixes{}},
		"three commits":         {changelog, record.Fixes{CVEs: []string{"CVE-2024-26923", "CVE-2024-53042"}, Bugs: []string{"bsc#1223683", "bsc#1233678"}}},
		"several on a line":     {"  KLP: CVE-2024-1 CVE-2024-2", record.Fixes{CVEs: []string{"CVE-2024-1", "CVE-2024-2"}}},
		"order of numbers":      {"KLP: CVE-2024-10000, CVE-2023-2,CVE-2024-9999", record.Fixes{CVEs: []string{"CVE-2023-2", "CVE-2024-9999", "CVE-2024-10000"}}},
		"padded numbers":        {"KLP: CVE-1999-0010 CVE-1999-0009", record.Fixes{CVEs: []string{"CVE-1999-0009", "CVE-1999-0010"}}},
		"duplicates":            {"KLP: CVE-2024-1\n- commit 1\nKLP: cve-2024-1\nReferences: bsc#7 bnc#7", record.Fixes{CVEs: []string{"CVE-2024-1"}, Bugs: []string{"bsc#7"}}},
		"KLP line wins":         {"- Fix for CVE-2024-1\n  KLP: CVE-2024-2\n", record.Fixes{CVEs: []string{"CVE-2024-2"}}},
		"several in a title":    {"- Fix for CVE-2024-1, CVE-2024-2 and CVE-2024-3 (\"x\")", record.Fixes{CVEs: []string{"CVE-2024-1", "CVE-2024-2", "CVE-2024-3"}}},
		"references before":     {"References: bsc#7\nKLP: CVE-2024-1", record.Fixes{CVEs: []string{"CVE-2024-1"}, Bugs: []string{"bsc#7"}}},
		"another author's":      {"KLP: CVE-2024-1\n* Mon May 12 2025 a@example.com\n- x\n  References: bsc#7", record.Fixes{CVEs: []string{"CVE-2024-1"}}},
		"prose":                 {"- See KLP: CVE-2024-1, or References: bsc#7\n  A Fix for CVE-2024-3", record.Fixes{}},
		"malformed":             {"KLP: CVE-24-1 CVE-2024- CVE-2024-1x CVE-2024-1-2 CVE-2024-12345678901 XCVE-2024-1 CVE-٢٠٢٤-1", record.Fixes{}},
		"malformed bugs":        {"KLP: CVE-2024-1\nReferences: bsc# bsc#0 bsc#x bsc#12345678901 gh#7 bsc7 #7", record.Fixes{CVEs: []string{"CVE-2024-1"}}},
		"carriage returns":      {"KLP: CVE-2024-1\r\nReferences: bsc#7\r\n- commit 1\r\n", record.Fixes{CVEs: []string{"CVE-2024-1"}, Bugs: []string{"bsc#7"}}},
		"control and bad UTF-8": {"KLP: CVE-2024-1\x00 CVE-2024-2 \xff", record.Fixes{CVEs: []string{"CVE-2024-2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(ParseFixes(test.changelog), test.want); diff != "" {
				t.Errorf("got -, want +\n%s", diff)
			}
		})
	}
}

func FuzzFixes(f *testing.F) {
	f.Add(changelog, "KLP: CVE-2024-1")
	f.Add("KLP: CVE-1999-0001 CVE-1999-1 CVE-1999-01", "- Fix for CVE-2024-1, CVE-2024-2\nReferences: bnc#1")
	cves, bugs := regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{1,10}$`), regexp.MustCompile(`^bsc#[1-9][0-9]{0,9}$`)
	f.Fuzz(func(t *testing.T, a, b string) {
		all, some := ParseFixes(a+"\n- commit 0\n"+b), ParseFixes(b)
		checkSet(t, all.CVEs, cves)
		checkSet(t, all.Bugs, bugs)
		if extra := some.Minus(all); extra.CVEs != nil || extra.Bugs != nil {
			t.Errorf("text before a commit took away %v", extra)
		}
		rest := all.Minus(some)
		if len(rest.CVEs)+len(some.CVEs) != len(all.CVEs) || len(rest.Bugs)+len(some.Bugs) != len(all.Bugs) {
			t.Errorf("%v minus %v is %v", all, some, rest)
		}
	})
}

// checkSet reports an element of set that is duplicate, unordered or malformed.
func checkSet(t *testing.T, set []string, form *regexp.Regexp) {
	order := func(a, b string) int { return strings.Compare(sortKey(a), sortKey(b)) }
	if !slices.IsSortedFunc(set, order) || len(slices.Compact(slices.Clone(set))) != len(set) {
		t.Errorf("unsorted or with duplicates: %q", set)
	}
	for _, s := range set {
		if !form.MatchString(s) {
			t.Errorf("malformed: %q", s)
		}
	}
}

// sortKey spells the number in s with twelve digits, followed by s.
func sortKey(s string) string {
	i := strings.LastIndexAny(s, "-#") + 1
	return s[:i] + strings.Repeat("0", 12-len(s[i:])) + s[i:] + " " + s
}
