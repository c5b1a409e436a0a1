package e2e

import (
	"cmp"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	godiff "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// row is what the history says about one change, without what differs between runs. The stories
// leave out what is usual (see usually): a zero field stands for that.
type row struct {
	Kind          string
	Action        string
	Package       string
	Version       string
	Previous      string
	KernelRelease string `json:"kernel_release"`
	PatchNumber   int    `json:"patch_number"`
	Initial       bool
	Result        string
	Outcome       string
	Source        string
	Exe           string `json:"-"` // base name of the actor's program
	UserData      string
	Repo          string
	Advisories    []string
	CVEsAdded     []string `json:"cves_added"`
	CVEsRemoved   []string `json:"cves_removed"`
	BugsAdded     []string `json:"bugs_added"`
	BugsRemoved   []string `json:"bugs_removed"`
	Scripts       []script
}

// script is a script that failed.
type script struct{ Script, Status, Output string }

// reported is a row as the report has it, with the fields that order rows.
type reported struct {
	row
	Event int
	Actor struct{ Exe string }
}

// history reads what the lab has on record, oldest first; nil without a record.
func (l *lab) history() []row {
	l.t.Helper()
	if !l.exists("/var/lib/klp-audit") {
		return nil
	}
	out := l.mustRun("/usr/bin/klp-audit", "report", "history", "--format", "json")
	var report struct {
		Schema string
		Rows   []reported
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		l.t.Fatalf("reading the history: %v\n%s", err, out)
	}
	if want := "klp-audit/history/1"; report.Schema != want {
		l.t.Errorf("schema of the history: got %q, want %q", report.Schema, want)
	}
	slices.SortStableFunc(report.Rows, func(a, b reported) int {
		return cmp.Or(a.Event-b.Event, strings.Compare(a.Package, b.Package), strings.Compare(a.Version, b.Version))
	})
	var rows []row
	for _, r := range report.Rows {
		r.Exe = filepath.Base(r.Actor.Exe)
		rows = append(rows, r.row)
	}
	return rows
}

// history compares the record with the rows that a story expects: by commit, oldest first, and
// within a commit by package and version.
func (p *pair) history(want ...row) {
	p.Helper()
	for i := range want {
		want[i] = usually(want[i])
	}
	if diff := godiff.Diff(want, p.audited.history(), cmpopts.EquateEmpty()); diff != "" {
		p.Errorf("history (-want +got):\n%s", diff)
	}
}

// unsaid is the repository of a package if libzypp ended before it recorded the installation.
const unsaid = "unsaid"

// usually fills in what is true unless a story says otherwise.
func usually(r row) row {
	kind, release := "support", ""
	switch {
	case r.Package == "kernel-default":
		kind, release = "kernel", releaseOf(r.Version)
	case strings.HasPrefix(r.Package, "kernel-livepatch-"):
		kind, release = "livepatch", releaseOf(r.Package)
		r.PatchNumber = int(r.Version[0] - '0')
		r.Initial = r.PatchNumber == 1
	}
	r.Kind = cmp.Or(r.Kind, kind)
	r.KernelRelease = cmp.Or(r.KernelRelease, release)
	r.Result = cmp.Or(r.Result, "ok")
	r.Outcome = cmp.Or(r.Outcome, "completed")
	r.Source = cmp.Or(r.Source, "plugin")
	if r.Source == "drift" { // nobody saw it happen
		r.Exe, r.Outcome = ".", ""
		return r
	}
	r.Exe = cmp.Or(r.Exe, "zypper")
	switch {
	case r.Repo == unsaid:
		r.Repo = ""
	case r.Result == "ok" && r.Action != "remove":
		r.Repo = "lab"
	}
	return r
}

// releaseOf names the one of the two kernels that a version or a package name belongs to.
func releaseOf(s string) string {
	if strings.Contains(s, "23.47") || strings.Contains(s, "23_47") {
		return newRelease
	}
	return oldRelease
}

// noRecord checks that klp-audit has left no trace at all.
func (p *pair) noRecord() {
	p.Helper()
	for _, name := range []string{"/var/lib/klp-audit", "/var/log/klp-audit", "/run/klp-audit"} {
		if p.audited.exists(name) {
			p.Errorf("%s exists, though nothing happened that concerns klp-audit", name)
		}
	}
}

// verify checks that the record of the audited lab, if there is one, is intact.
func (p *pair) verify() {
	p.Helper()
	if !p.audited.exists("/var/lib/klp-audit") {
		return
	}
	if got := p.audited.run("/usr/bin/klp-audit", "verify"); got.exit != 0 {
		p.Errorf("verify: exit %d, want 0\n%s", got.exit, got.out)
	}
}
