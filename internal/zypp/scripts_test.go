package zypp

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

// Each version of libzypp notes failed scripts in its own way.
func TestFailedScripts(t *testing.T) {
	for name, tt := range map[string]struct {
		history string
		want    []Script
	}{
		"package by package, the scripts of the transaction at its end": {
			history: `# 2026-11-28 19:10:47 kernel-default-6.4.0-1.x86_64.rpm installed ok
# Additional rpm output:
# no room
# warning: %post(kernel-default-6.4.0-1.x86_64) scriptlet failed, exit status 3
#` + " " + `
2026-11-28 19:10:47|install|kernel-default|6.4.0-1|x86_64|root@vm|lab|abc|
# 2026-11-28 19:10:48 %posttrans(kernel-default-6.4.0-1.x86_64) script output:
# no image
# and more
# warning: %posttrans(kernel-default-6.4.0-1.x86_64) scriptlet failed, exit status 4
# 2026-11-28 19:10:48 %posttrans(dracut-1-1.x86_64) script output:
# warning: %posttrans(dracut-1-1.x86_64) scriptlet failed, signal 9
# 2026-11-28 19:10:48 %posttrans(other-1-1.x86_64) script output:
# all is well`,
			want: []Script{
				{"kernel-default-6.4.0-1.x86_64", record.Script{Script: "post", Status: "exit status 3"}},
				{"kernel-default-6.4.0-1.x86_64", record.Script{Script: "posttrans", Status: "exit status 4", Output: "no image"}},
				{"dracut-1-1.x86_64", record.Script{Script: "posttrans", Status: "signal 9"}},
			},
		},
		"the same in another language": {
			history: `# 2026-11-28 19:10:48 Ausgabe des Skripts %posttrans(a-1-1.noarch):
# kein Platz
# warning: %posttrans(a-1-1.noarch) scriptlet failed, exit status 1`,
			want: []Script{{"a-1-1.noarch", record.Script{Script: "posttrans", Status: "exit status 1", Output: "kein Platz"}}},
		},
		"an old libzypp": {
			history: `# 2026-11-28 19:10:47 Output of a-1-1.noarch.rpm %posttrans script:
#     no image
#     and more
# 2026-11-28 19:10:47 a-1-1.noarch.rpm %posttrans script failed (returned 4)
# 2026-11-28 19:10:48 b-1-1.noarch.rpm %posttrans script failed (returned 5)
# 2026-11-28 19:10:48 Output of c-1-1.noarch.rpm %posttrans script:
#     all is well`,
			want: []Script{
				{"a-1-1.noarch", record.Script{Script: "posttrans", Status: "exit status 4", Output: "no image"}},
				{"b-1-1.noarch", record.Script{Script: "posttrans", Status: "exit status 5"}},
			},
		},
		"all packages in one transaction": {
			history: `2026-11-28 19:10:47|install|a|1-1|noarch|root@vm|lab|abc|
# 2026-11-28 19:10:47 a installed ok
# 2026-11-28 19:10:48 Failed to execute posttrans script for a-1-1.noarch` + " " + `
# rpm output:
# no image
# and more
# warning: %posttrans(a-1-1.noarch) scriptlet failed, exit status 4
#` + " " + `
# 2026-11-28 19:10:48 Failed to execute postin script for b-1-1.noarch
# 2026-11-28 19:10:49 Failed to execute posttrans script for unknown`,
			want: []Script{
				{"a-1-1.noarch", record.Script{Script: "posttrans", Status: "exit status 4", Output: "no image"}},
				{"b-1-1.noarch", record.Script{Script: "postin"}},
			},
		},
		"what failed before the package was there": {
			history: `# 2026-11-23 06:51:12 kernel-prefail-1-1.x86_64.rpm install failed
# rpm output:
# error: %prein(kernel-prefail-1-1.x86_64) scriptlet failed, exit status 1
# error: kernel-prefail-1-1.x86_64: install failed
#` + " ",
			want: []Script{{"kernel-prefail-1-1.x86_64", record.Script{Script: "prein", Status: "exit status 1"}}},
		},
		"a line that is no end": {history: "# warning: %posttrans(a-1-1.noarch) scriptlet failed, exit status 4 or so: is what I print\n# warning: %() scriptlet failed, exit status 1"},
		"a line of any length": {
			history: "# 2026-11-28 19:10:48 %posttrans(a-1-1.noarch) script output:\n# " + strings.Repeat("ö", 1000) +
				"\n# warning: %posttrans(a-1-1.noarch) scriptlet failed, exit status 1",
			want: []Script{{"a-1-1.noarch", record.Script{Script: "posttrans", Status: "exit status 1", Output: strings.Repeat("ö", 100) + "…"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var g group
			if err := g.read(strings.NewReader(tt.history+"\n"), 0); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, g.Scripts); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// The list is bounded, however long the history is.
func TestFailedScriptsAreBounded(t *testing.T) {
	var g group
	if err := g.read(strings.NewReader(strings.Repeat("# warning: %post(a-1-1.noarch) scriptlet failed, exit status 1\n", 5000)), 0); err != nil {
		t.Fatal(err)
	}
	if len(g.Scripts) != maxScripts {
		t.Errorf("%d scripts, want %d", len(g.Scripts), maxScripts)
	}
}
