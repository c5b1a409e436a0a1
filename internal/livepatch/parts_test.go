package livepatch

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

func TestBlockers(t *testing.T) {
	enabling := []string{two + "enabled 1", two + "transition 1"}
	task := func(pid, tid, state, comm string) []string {
		dir := "proc/" + pid + "/task/" + tid
		return []string{dir + "/patch_state " + state, dir + "/comm " + comm}
	}
	lines := func(parts ...[]string) (all []string) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	tasks := lines(task("100", "101", "0", "b\xffd"), task("100", "100", "1", "bash"), task("7", "7", "0", "kthreadd"), task("8", "8", "-1", "idle"),
		[]string{"proc/9/task/9/comm gone", "proc/self/x 1", "proc/+7/task/7/patch_state 0"})
	for name, tt := range map[string]struct {
		lines []string
		want  record.Blockers
		err   string
	}{
		"no transition":     {lines: []string{two + "enabled 1", two + "transition 0"}, want: record.Blockers{}},
		"enabling":          {lines: lines(enabling, tasks), want: record.Blockers{{PID: 7, TID: 7, Comm: "kthreadd"}, {PID: 100, TID: 101, Comm: "b\uFFFDd"}}},
		"disabling":         {lines: lines([]string{two + "enabled 0", two + "transition 1"}, tasks), want: record.Blockers{{PID: 100, TID: 100, Comm: "bash"}}},
		"done meanwhile":    {lines: lines(enabling, task("7", "7", "-1", "x")), want: record.Blockers{}},
		"nonsense":          {lines: lines(enabling, task("7", "7", "2", "x")), err: `parsing "/proc/7/task/7/patch_state": "2\n" is not a state`},
		"no proc":           {lines: enabling, err: "proc: no such file"},
		"nothing to see":    {lines: append(enabling, "proc/7/task/7/comm x"), err: "no task has a patch_state"},
		"kernel without":    {lines: []string{"sys/kernel/x 1"}, err: ErrNoLivepatch.Error()},
		"task is no folder": {lines: append(enabling, "proc/7/task x"), err: "not a directory"},
		"kgraft": {
			lines: []string{"sys/kernel/kgraft/in_progress 1", "sys/kernel/kgraft/p/state f w s\nf 0 1",
				"proc/7/kgr_in_progress 1", "proc/7/task/7/comm x", "proc/8/kgr_in_progress 0", "proc/8/task/8/comm y"},
			want: record.Blockers{{PID: 7, TID: 7, Comm: "x"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Blockers(tree(t, tt.lines...))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadTaint(t *testing.T) {
	got, err := ReadTaint(tree(t, "proc/sys/kernel/tainted 2147520512"))
	want := record.Taint{Value: 2147520512, Flags: []record.TaintFlag{
		{Bit: 12, Letter: "O", Meaning: "externally built (out of tree) module was loaded"}, {Bit: 15, Letter: "K", Meaning: "kernel has been live patched"},
		{Bit: 31, Letter: "", Meaning: "on SUSE kernels: the system is no longer supported, as after an unsupported module or a disabled live patch"},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got := explain(1<<63 | 1<<25); len(got.Flags) != 2 || got.Flags[0] != (record.TaintFlag{Bit: 25, Letter: "", Meaning: "not known"}) {
		t.Errorf("got %v", got)
	}
	if got, err := ReadTaint(tree(t, "proc/sys/kernel/tainted 0")); err != nil || len(got.Flags) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, root := range []string{tree(t, "proc/sys/kernel/tainted -1"), tree(t)} {
		if got, err := ReadTaint(root); err == nil || !strings.Contains(err.Error(), "proc/sys/kernel/tainted") {
			t.Errorf("got %v, %v", got, err)
		}
	}
}

func TestMarker(t *testing.T) {
	for text, want := range map[string]struct {
		patched bool
		rev     string
	}{
		"#1 SMP PREEMPT_DYNAMIC Tue May 13 09:34:13 UTC 2025 (b2a976e)":      {},
		"#1 SMP PREEMPT_DYNAMIC Tue May 13 09:34:13 UTC 2025 (b2a976e/lp)":   {true, ""},
		"#1 SMP PREEMPT_DYNAMIC Tue May 13 09:34:13 UTC 2025 (b2a976e/lp)\n": {true, ""},
		"#1 SMP Wed Sep 9 01:02:03 UTC 2020 (b2a976e/lp-cd28ef5)":            {true, "cd28ef5"},
		"#1 SMP Thu Apr 7 01:02:03 UTC 2016 (8a9a0f2/kGraft-e41bc02)":        {true, "e41bc02"},
		"#1 SMP (b2a976e/kGraft)":                              {true, ""},
		"#1 SMP (b2a976e/lp":                                   {},
		"#1 SMP (b2a976e/lp-)":                                 {},
		"#1 SMP (b2a976e/lp-\x1b[1m)":                          {},
		"#1 SMP (b2a976e/lp-ABC)":                              {},
		"#1 SMP (b2a976e/lpx)":                                 {},
		"#1 SMP (x/lp) 2025":                                   {},
		"#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)": {},
		"": {},
	} {
		if patched, rev := Marker(text); patched != want.patched || rev != want.rev {
			t.Errorf("Marker(%q) = %v, %q", text, patched, rev)
		}
	}
}

func TestCoverageEnd(t *testing.T) {
	const pkg, other = "kernel-livepatch-6_4_0-150600_23_42-default", "kernel-livepatch-6_4_0-150600_21-default"
	const usr, local = "usr/share/lifecycle/data/sle-module-live-patching.lifecycle", "var/lib/lifecycle/data/sle-live-patching.lifecycle"
	for name, tt := range map[string]struct {
		lines []string
		want  record.Coverage
		err   string
	}{
		"a line": {
			lines: []string{usr + " # comment, *, 2020-01-01\n\n" + other + ",*,2025-06-30\n  " + pkg + " ,  * , 2026-03-31 \n"},
			want:  record.Coverage{Date: "2026-03-31", File: "/" + usr, Line: 4, Name: pkg, Version: "*"},
		},
		"the last line wins":    {lines: []string{usr + " " + pkg + ",*,2026-03-31\n" + pkg + ",*,2026-04-30"}, want: record.Coverage{Date: "2026-04-30", File: "/" + usr, Line: 2, Name: pkg, Version: "*"}},
		"the last folder wins":  {lines: []string{usr + " " + pkg + ",*,2026-03-31", local + " " + pkg + ",*,2026-04-30"}, want: record.Coverage{Date: "2026-03-31", File: "/" + usr, Line: 1, Name: pkg, Version: "*"}},
		"a glob":                {lines: []string{usr + " kernel-livepatch-*_23_*-default,*,2026-03-31"}, want: record.Coverage{Date: "2026-03-31", File: "/" + usr, Line: 1, Name: "kernel-livepatch-*_23_*-default", Version: "*"}},
		"a regular expression":  {lines: []string{usr + " /^kernel-livepatch-.*$/, 7-*, 2026-03-31,"}, want: record.Coverage{Date: "2026-03-31", File: "/" + usr, Line: 1, Name: "/^kernel-livepatch-.*$/", Version: "7-*"}},
		"another version":       {lines: []string{usr + " " + pkg + ",6-150600.13.6.1,2026-03-31"}, err: "no line of /" + usr + " is about it"},
		"the version":           {lines: []string{usr + " " + pkg + ",7-150600.13.6.1,2026-03-31"}, want: record.Coverage{Date: "2026-03-31", File: "/" + usr, Line: 1, Name: pkg, Version: "7-150600.13.6.1"}},
		"quotes and a time":     {lines: []string{usr + ` "` + pkg + `","*","2026-03-31 00:00:00","next"`}, want: record.Coverage{Date: "2026-03-31", File: "/" + usr, Line: 1, Name: pkg, Version: "*"}},
		"other dates":           {lines: []string{usr + " " + pkg + ",*,20260331"}, want: record.Coverage{Date: "2026-03-31", File: "/" + usr, Line: 1, Name: pkg, Version: "*"}},
		"a date is taken back":  {lines: []string{usr + " " + pkg + ",*,2026-03-31\n" + pkg + ",*,,next"}, err: "names no date for " + pkg + " 7-150600.13.6.1: /" + usr + ":2 has none"},
		"no date at all":        {lines: []string{usr + " " + pkg + ",*"}, err: usr + ":1 has none"},
		"not a date":            {lines: []string{usr + " \n" + pkg + ",*,some\x1bday"}, err: `parsing /` + usr + `:2: "some\x1bday" is not a date`},
		"not an expression":     {lines: []string{usr + " /(/,*,2026-03-31"}, err: `:1: name "/(/": error parsing regexp`},
		"nonsense elsewhere":    {lines: []string{usr + " x,*,someday\n\x00\xff,,,\n,\n" + pkg + ",*,2026-03-31"}, want: record.Coverage{Date: "2026-03-31", File: "/" + usr, Line: 4, Name: pkg, Version: "*"}},
		"other products":        {lines: []string{"usr/share/lifecycle/data/SLES.lifecycle " + pkg + ",*,2026-03-31"}, err: "there is no *live-patching*.lifecycle"},
		"nothing":               {err: "there is no *live-patching*.lifecycle"},
		"a folder for a file":   {lines: []string{usr + "/x y"}, err: "not a regular file"},
		"a file for the folder": {lines: []string{"usr/share/lifecycle/data x"}, err: "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := CoverageEnd(tree(t, tt.lines...), pkg, "7-150600.13.6.1")
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := CoverageEnd(t.TempDir(), pkg, "*"); !errors.Is(err, ErrNoCoverage) {
		t.Errorf("got %v", err)
	}
}

func TestGlobMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "*", true}, {"a*", "a", true}, {"a*a", "a", false}, {"a*b*c", "aXbYc", true},
		{"a*b*c", "acb", false}, {"*b", "ab", true}, {"*b", "ba", false}, {"**", "x", true}, {"?", "x", false}, {"a*ab", "aab", true}, {"7-*", "*", false},
	} {
		if got := globMatch(tt.pattern, tt.text); got != tt.want {
			t.Errorf("globMatch(%q, %q) = %v", tt.pattern, tt.text, got)
		}
	}
}

func FuzzCoverage(f *testing.F) {
	f.Add("kernel-livepatch-6_4_0-150600_21-default, *, 2026-03-31\n/^kernel-.*$/,7-*,,next\n", "7-150600.13.6.1")
	f.Add("# c\n\"a\",\"*\",20260331\n*,*,x", "*")
	f.Fuzz(func(t *testing.T, text, version string) {
		var c record.Coverage
		if err := lastMatch(text, "file", "kernel-livepatch-6_4_0-150600_21-default", version, &c); err != nil {
			return
		}
		if c.Line > strings.Count(text, "\n")+1 || c.Date != "" && len(c.Date) != len("2006-01-02") {
			t.Errorf("got %+v", c)
		}
	})
}
