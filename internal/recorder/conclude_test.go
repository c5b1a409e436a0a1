package recorder

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
)

const (
	livePatch = "kernel-livepatch-6_4_0-150600_23_42-default"
	kernel    = "kernel-default"
)

// pkg is an installed package in the tests; instance is its record number.
func pkg(t *testing.T, name, evr string, instance int64) record.Package {
	t.Helper()
	v, err := rpmversion.Parse(evr)
	if err != nil {
		t.Fatal(err)
	}
	return record.Package{Name: name, Version: v.String(), Arch: "x86_64", InstallTime: 1_700_000_000, InstallTID: 1_700_000_000, DBInstance: instance}
}

func stepOf(t *testing.T, kind, name, evr, stage string) Step {
	t.Helper()
	v, err := rpmversion.Parse(evr)
	if err != nil {
		t.Fatal(err)
	}
	return Step{Type: kind, Stage: stage, Name: name, EVR: v, Arch: "x86_64"}
}

// What a commit did is the difference of the snapshots; libzypp's claims are recorded, but never
// trusted.
func TestConclude(t *testing.T) {
	k1, k2 := pkg(t, kernel, "6.4.0-150600.23.42.2", 1), pkg(t, kernel, "6.4.0-150600.23.47.2", 2)
	p1, p2 := pkg(t, livePatch, "1-150600.13.3.1", 3), pkg(t, livePatch, "2-150600.13.6.1", 4)
	again := p1
	again.DBInstance = 9
	for name, tt := range map[string]struct {
		before, after []record.Package
		steps         []Step // with the stages at the end
		how           How
		late          bool
		failed        []string
		want          []string
		outcome       record.Outcome
	}{
		"install of a kernel and its initial patch": {
			before: []record.Package{}, after: []record.Package{k1, p1},
			steps: []Step{stepOf(t, "M", kernel, "6.4.0-150600.23.42.2", "ok"), stepOf(t, "+", livePatch, "1-150600.13.3.1", "ok")},
			want: []string{
				"install kernel-default 6.4.0-150600.23.42.2 was: ok",
				"install " + livePatch + " 1-150600.13.3.1 was: ok",
			}, outcome: record.OutcomeCompleted,
		},
		"upgrade": {
			before: []record.Package{p1}, after: []record.Package{p2}, steps: []Step{stepOf(t, "+", livePatch, "2-150600.13.6.1", "ok")},
			want: []string{"upgrade " + livePatch + " 2-150600.13.6.1 was:1-150600.13.3.1 ok"}, outcome: record.OutcomeCompleted,
		},
		"downgrade": {
			before: []record.Package{p2}, after: []record.Package{p1}, steps: []Step{stepOf(t, "+", livePatch, "1-150600.13.3.1", "ok")},
			want: []string{"downgrade " + livePatch + " 1-150600.13.3.1 was:2-150600.13.6.1 ok"}, outcome: record.OutcomeCompleted,
		},
		"reinstall in the same second": {
			before: []record.Package{p1}, after: []record.Package{again}, steps: []Step{stepOf(t, "+", livePatch, "1-150600.13.3.1", "ok")},
			want: []string{"reinstall " + livePatch + " 1-150600.13.3.1 was:1-150600.13.3.1 ok"}, outcome: record.OutcomeCompleted,
		},
		"rebuilt rpm database": {
			before: []record.Package{p1}, after: []record.Package{again}, outcome: record.OutcomeCompleted,
		},
		"removed, and installed again by somebody else before anybody looked": {
			before: []record.Package{p1}, after: []record.Package{again}, how: Interrupted, steps: []Step{stepOf(t, "-", livePatch, "1-150600.13.3.1", "")},
			want: []string{"remove " + livePatch + " 1-150600.13.3.1 was: unknown"}, outcome: record.OutcomeInterrupted,
		},
		"second kernel next to the first, old one purged": {
			before: []record.Package{k1}, after: []record.Package{k2},
			steps: []Step{stepOf(t, "M", kernel, "6.4.0-150600.23.47.2", "ok"), stepOf(t, "-", kernel, "6.4.0-150600.23.42.2", "ok")},
			want: []string{
				"remove kernel-default 6.4.0-150600.23.42.2 was: ok",
				"install kernel-default 6.4.0-150600.23.47.2 was: ok",
			}, outcome: record.OutcomeCompleted,
		},
		"obsoleted without a step": {
			before: []record.Package{p1, k1}, after: []record.Package{k1},
			want:    []string{"remove " + livePatch + " 1-150600.13.3.1 was: ok"},
			outcome: record.OutcomeCompleted,
		},
		"claimed ok, not in the rpm database": {
			before: []record.Package{p1}, after: []record.Package{p1}, steps: []Step{stepOf(t, "+", livePatch, "2-150600.13.6.1", "ok")},
			want: []string{"upgrade " + livePatch + " 2-150600.13.6.1 was:1-150600.13.3.1 failed"}, outcome: record.OutcomeFailed,
		},
		"claimed removed, still there": {
			before: []record.Package{p1}, after: []record.Package{p1}, steps: []Step{stepOf(t, "-", livePatch, "1-150600.13.3.1", "ok")},
			want: []string{"remove " + livePatch + " 1-150600.13.3.1 was: failed"}, outcome: record.OutcomeFailed,
		},
		"claimed reinstalled, untouched": {
			before: []record.Package{p1}, after: []record.Package{p1}, steps: []Step{stepOf(t, "+", livePatch, "1-150600.13.3.1", "ok")},
			want: []string{"reinstall " + livePatch + " 1-150600.13.3.1 was:1-150600.13.3.1 failed"}, outcome: record.OutcomeFailed,
		},
		"claimed err, yet installed": {
			before: []record.Package{}, after: []record.Package{p1}, steps: []Step{stepOf(t, "+", livePatch, "1-150600.13.3.1", "err")},
			want: []string{"install " + livePatch + " 1-150600.13.3.1 was: ok"}, outcome: record.OutcomeFailed,
		},
		"one download failed, the rest was not done": {
			before: []record.Package{}, after: []record.Package{},
			steps: []Step{stepOf(t, "M", kernel, "6.4.0-150600.23.42.2", "err"), stepOf(t, "+", livePatch, "1-150600.13.3.1", "")},
			want: []string{
				"install kernel-default 6.4.0-150600.23.42.2 was: failed",
				"install " + livePatch + " 1-150600.13.3.1 was: not-done",
			}, outcome: record.OutcomeFailed,
		},
		"aborted, and the history names the culprit": {
			before: []record.Package{p1}, after: []record.Package{p1}, how: Aborted, failed: []string{livePatch + "-2-150600.13.6.1.x86_64.rpm"},
			steps: []Step{stepOf(t, "+", livePatch, "2-150600.13.6.1", ""), stepOf(t, "M", kernel, "6.4.0-150600.23.42.2", "")},
			want: []string{
				"upgrade " + livePatch + " 2-150600.13.6.1 was:1-150600.13.3.1 failed",
				"install kernel-default 6.4.0-150600.23.42.2 was: not-done",
			}, outcome: record.OutcomeAborted,
		},
		"a skipped download of another package": {
			before: []record.Package{}, after: []record.Package{}, steps: []Step{stepOf(t, "M", kernel, "6.4.0-150600.23.42.2", "")},
			want: []string{"install kernel-default 6.4.0-150600.23.42.2 was: not-done"}, outcome: record.OutcomeFailed,
		},
		"found out late, when others had changed packages, too": {
			before: []record.Package{k1, p1}, after: []record.Package{k1, k2, p2}, how: Interrupted, late: true,
			steps: []Step{stepOf(t, "+", livePatch, "2-150600.13.6.1", "")},
			want:  []string{"upgrade " + livePatch + " 2-150600.13.6.1 was:1-150600.13.3.1 ok"}, outcome: record.OutcomeInterrupted,
		},
		"found out late, when another had changed the same package": {
			before: []record.Package{}, after: []record.Package{p2}, how: Interrupted, late: true,
			steps: []Step{stepOf(t, "+", livePatch, "1-150600.13.3.1", "")},
			want:  []string{"install " + livePatch + " 1-150600.13.3.1 was: unknown"}, outcome: record.OutcomeInterrupted,
		},
		"interrupted between two packages": {
			before: []record.Package{}, after: []record.Package{k1}, how: Interrupted,
			steps: []Step{stepOf(t, "M", kernel, "6.4.0-150600.23.42.2", ""), stepOf(t, "+", livePatch, "1-150600.13.3.1", "")},
			want: []string{
				"install kernel-default 6.4.0-150600.23.42.2 was: ok",
				"install " + livePatch + " 1-150600.13.3.1 was: not-done",
			}, outcome: record.OutcomeInterrupted,
		},
		"rpm could not be asked before": {
			before: nil, after: []record.Package{p1}, steps: []Step{stepOf(t, "+", livePatch, "1-150600.13.3.1", "ok")},
			want: []string{"install " + livePatch + " 1-150600.13.3.1 was: unknown"}, outcome: record.OutcomeCompleted,
		},
		"rpm could not be asked after": {
			before: []record.Package{p1}, after: nil, steps: []Step{stepOf(t, "+", livePatch, "2-150600.13.6.1", "ok")},
			want: []string{"upgrade " + livePatch + " 2-150600.13.6.1 was:1-150600.13.3.1 unknown"}, outcome: record.OutcomeCompleted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			begin := &record.Event{Begin: &record.CommitBegin{}}
			for _, s := range tt.steps {
				s.Stage = ""
				begin.Begin.Announced = append(begin.Begin.Announced, announce(s, tt.before))
			}
			e := Ending{How: tt.how, late: tt.late}
			if tt.how == Committed {
				e.Steps = tt.steps
			}
			end := conclude(begin, tt.before, seen{installed: rpm.Snapshot{Packages: tt.after}, history: zypp.Appended{Failed: tt.failed}}, e)
			var got []string
			for _, c := range end.Changes {
				got = append(got, fmt.Sprintf("%s %s %s was:%s %s", c.Action, c.Package, c.Version, c.Previous, c.Result))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if end.Outcome != tt.outcome {
				t.Errorf("outcome %s, want %s", end.Outcome, tt.outcome)
			}
		})
	}
}

// A live patch's change says which fixes it added or removed.
func TestFixesOfChange(t *testing.T) {
	p1, p2 := pkg(t, livePatch, "1-150600.13.3.1", 1), pkg(t, livePatch, "2-150600.13.6.1", 2)
	other := pkg(t, livePatch, "2-150600.13.6.1", 3)
	other.BuildTime++
	fix := record.Fixes{CVEs: []string{"CVE-2024-50115"}, Bugs: []string{"bsc#1233019"}}
	for name, tt := range map[string]struct {
		before, after   []record.Package
		had, has        map[string]record.Fixes
		added, removed  record.Fixes
		number, release string
	}{
		"upgrade":                    {[]record.Package{p1}, []record.Package{p2}, map[string]record.Fixes{p1.NEVRA(): {}}, map[string]record.Fixes{p2.NEVRA(): fix}, fix, record.Fixes{}, "2 false", ""},
		"downgrade":                  {[]record.Package{p2}, []record.Package{p1}, map[string]record.Fixes{p2.NEVRA(): fix}, map[string]record.Fixes{p1.NEVRA(): {}}, record.Fixes{}, fix, "1 true", ""},
		"reinstall of a rebuilt one": {[]record.Package{p2}, []record.Package{other}, map[string]record.Fixes{p2.NEVRA(): {}}, map[string]record.Fixes{p2.NEVRA(): fix}, fix, record.Fixes{}, "2 false", ""},
		"changelog not read before":  {[]record.Package{p1}, []record.Package{p2}, nil, map[string]record.Fixes{p2.NEVRA(): fix}, record.Fixes{}, record.Fixes{}, "2 false", ""},
		"changelog not read after":   {[]record.Package{p2}, []record.Package{p1}, map[string]record.Fixes{p2.NEVRA(): fix}, nil, record.Fixes{}, record.Fixes{}, "1 true", ""},
		"remove":                     {[]record.Package{p2}, []record.Package{}, map[string]record.Fixes{p2.NEVRA(): fix}, nil, record.Fixes{}, fix, "2 false", ""},
	} {
		begin := &record.Event{Begin: &record.CommitBegin{Fixes: tt.had}}
		c := conclude(begin, tt.before, seen{installed: rpm.Snapshot{Packages: tt.after}, fixes: tt.has}, Ending{}).Changes[0]
		if diff := cmp.Diff([]record.Fixes{tt.added, tt.removed}, []record.Fixes{c.Added, c.Removed}); diff != "" {
			t.Errorf("%s: added and removed (-want +got):\n%s", name, diff)
		}
		if got := fmt.Sprint(c.PatchNumber, c.Initial); got != tt.number {
			t.Errorf("%s: patch number and initial %s, want %s", name, got, tt.number)
		}
		if c.KernelRelease != "6.4.0-150600.23.42-default" || c.Kind != "livepatch" {
			t.Errorf("%s: kernel %q, kind %q", name, c.KernelRelease, c.Kind)
		}
	}
}

// Repository, checksum and advisories come from libzypp's history, unless that belongs to another
// command.
func TestHistoryOfCommit(t *testing.T) {
	p := pkg(t, livePatch, "2-150600.13.6.1", 1)
	argv := []string{"zypper", "in", "https://user:secret@example.com/x.rpm"}
	history := zypp.Appended{
		Command:    zypp.QuoteCommand(argv),
		Installs:   []zypp.Record{{Name: p.Name, Version: p.Version, Arch: p.Arch, Repo: "updates", Checksum: "abc"}},
		Advisories: []record.Advisory{{ID: "SUSE-1", OldState: "needed", NewState: "applied"}},
	}
	begin := &record.Event{Begin: &record.CommitBegin{Command: []string{"zypper", "in", zypp.Redact(argv[2])}}}
	end := conclude(begin, []record.Package{}, seen{installed: rpm.Snapshot{Packages: []record.Package{p}}, history: history}, Ending{})
	if c := end.Changes[0]; c.Repo != "updates" || c.Checksum != "abc" || len(end.Advisories) != 1 {
		t.Errorf("repo %q, checksum %q, %d advisories", c.Repo, c.Checksum, len(end.Advisories))
	}
	begin.Begin.Command = []string{"zypper", "up"}
	end = conclude(begin, []record.Package{}, seen{installed: rpm.Snapshot{Packages: []record.Package{p}}, history: history}, Ending{})
	if c := end.Changes[0]; c.Repo != "" || len(end.Advisories) != 0 || len(end.Problems) != 1 {
		t.Errorf("of another command: repo %q, %d advisories, problems %q", c.Repo, len(end.Advisories), end.Problems)
	}
}
