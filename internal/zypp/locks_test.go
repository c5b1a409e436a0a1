package zypp

import (
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/internal/rooted/rootedtest"
	"github.com/klp-audit/klp-audit/record"
)

func TestLocks(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  record.Locks
		err   string
	}{
		"zypper's": {
			files: map[string]string{"etc/zypp/locks": "\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: kernel-livepatch*\n"},
			want: record.Locks{{File: "/etc/zypp/locks", Line: 2, Types: []string{"package"}, MatchType: "glob", CaseSensitive: true,
				Names: []string{"kernel-livepatch*"}, Status: "all"}},
		},
		"old form, in another file": {
			files: map[string]string{
				"etc/zypp/zypp.conf": "[main]\nlocksfile.path = /etc/zypp/my locks\nlocksfile.apply = yes\n",
				"etc/zypp/my locks": "-----locks-----\nsolvable_name: gcc\nmatch_type: exact\nversion: > 4.2\n-----locks-----\n# no\nrepo: lab\ninstall_status: installed\n" +
					"solvable_name: a\nsolvable_name: b\nquery_string: q\nsolvable_arch: x86_64\n",
			},
			want: record.Locks{
				{File: "/etc/zypp/my locks", Line: 2, MatchType: "exact", Names: []string{"gcc"}, Versions: []string{"> 4.2"}, Status: "all"},
				{File: "/etc/zypp/my locks", Line: 7, MatchType: "substring", Names: []string{"a", "b"}, Repos: []string{"lab"},
					Status: "installed", Other: []string{"query_string: q", "solvable_arch: x86_64"}},
			},
		},
		"versions beside names": {
			files: map[string]string{"etc/zypp/locks": "type: package\nmatch_type: glob\nsolvable_name: kernel-default > 6.4.0\nsolvable_name: kernel-rt  <=  6.4.0-150600.23\nsolvable_name: a b\nversion: != 7\n"},
			want: record.Locks{{File: "/etc/zypp/locks", Line: 1, Types: []string{"package"}, MatchType: "glob",
				Names: []string{"kernel-default", "kernel-rt", "a b"}, Versions: []string{"> 6.4.0", "<= 6.4.0-150600.23", "!= 7"}, Status: "all"}},
		},
		"none":          {files: map[string]string{"etc/zypp/zypp.conf": ""}, want: record.Locks{}},
		"not applied":   {files: map[string]string{"etc/zypp/zypp.conf": "[main]\nlocksfile.apply = no", "etc/zypp/locks": "x"}, want: record.Locks{}},
		"no libzypp":    {err: "no zypp.conf"},
		"no attribute":  {files: map[string]string{"etc/zypp/locks": "type: package\n\x00\xff\n"}, err: "parsing locks /etc/zypp/locks:2: \"\\x00\uFFFD\" is not an attribute"},
		"unknown match": {files: map[string]string{"etc/zypp/locks": "match_type: like\n"}, err: `/etc/zypp/locks:1: unknown match type "like"`},
		"a folder":      {files: map[string]string{"etc/zypp/locks/x": ""}, err: "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Locks(rootedtest.Tree(t, tt.files))
			rootedtest.Want(t, got, err, tt.want, tt.err)
		})
	}
}

func FuzzLocks(f *testing.F) {
	f.Add("type: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: kernel*\n\nsolvable_name: (\nmatch_type: regex")
	f.Add("-----locks-----\nquery_string: kde\nsolvable_name:\n")
	f.Fuzz(func(t *testing.T, text string) {
		locks, err := parseLocks("locks", text)
		if err != nil {
			return
		}
		for _, l := range locks {
			if l.Line < 1 || l.Line > strings.Count(text, "\n")+1 {
				t.Errorf("line %d of %q", l.Line, text)
			}
		}
	})
}
