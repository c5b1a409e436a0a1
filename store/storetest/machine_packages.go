package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/record"
)

// PatchFor is the installed live patch for a kernel, nil if there is none.
func (m *Machine) PatchFor(release string) *record.Package {
	for i, p := range m.Installed {
		if r, ok := livepatch.KernelFor(p.Name); ok && r == release {
			return &m.Installed[i]
		}
	}
	return nil
}

// KernelPackage is a kernel package of the stories.
func KernelPackage(version string) record.Package {
	return record.Package{Name: "kernel-default", Version: version, Arch: "x86_64", Kind: "kernel", Vendor: "SUSE LLC <https://www.suse.com/>", SignatureKey: "f74f09bc3fa1d6ce"}
}

// PatchPackage is live patch number n for a kernel.
func PatchPackage(release string, n int) record.Package {
	name, _ := livepatch.PackageFor(release)
	p := KernelPackage(fmt.Sprintf("%d-150600.13.%d.1", n, 3*n))
	p.Name, p.Kind = name, "livepatch"
	return p
}

// ModuleOf is the module in a live patch package.
func ModuleOf(p record.Package) string {
	version, release, _ := strings.Cut(p.Version, "-")
	return livepatch.Module(p.Name, version, release)
}

// ReleaseOf is the release of the kernel that a package is, or is for.
func ReleaseOf(p record.Package) string {
	if release, ok := livepatch.KernelFor(p.Name); ok {
		return release
	}
	version, release, _ := strings.Cut(p.Version, "-")
	uname, _ := livepatch.KernelRelease(p.Name, version, release)
	return uname
}

// FixesOf are the fixes of patch n of a kernel: two CVEs more than patch n-1; the initial patch has
// none.
func FixesOf(p record.Package) (f record.Fixes) {
	number, _, _ := strings.Cut(p.Version, "-")
	n, err := strconv.Atoi(number)
	if err != nil {
		return f
	}
	kernel := strings.Split(p.Name, "_")
	minor := strings.TrimSuffix(kernel[len(kernel)-1], "-default")
	for i := 2; i <= n; i++ {
		f.CVEs = append(f.CVEs, fmt.Sprintf("CVE-2025-%s%d1", minor, i), fmt.Sprintf("CVE-2025-%s%d2", minor, i))
		f.Bugs = append(f.Bugs, fmt.Sprintf("bsc#12%s%d", minor, i))
	}
	return f
}

// FailScript makes a script of the newest change fail.
func (m *Machine) FailScript() {
	for _, ev := range slices.Backward(m.Written) {
		if ev.End != nil {
			ev.End.Changes[0].Scripts = []record.Script{{Script: "posttrans", Status: "exit status 4", Output: "no image"}}
			return
		}
	}
}

// Install is a commit that installs packages, in addition to or instead of others, and succeeds.
func (m *Machine) Install(pkgs ...record.Package) { m.Commit(record.OutcomeCompleted, pkgs, nil) }

// Remove is a commit that removes packages.
func (m *Machine) Remove(pkgs ...record.Package) { m.Commit(record.OutcomeCompleted, nil, pkgs) }

// Commit is a commit of zypper: it takes ten seconds. One that does not succeed changes nothing.
// Without an outcome it has no end on record.
func (m *Machine) Commit(outcome record.Outcome, in, out []record.Package) {
	begin := &record.Event{Header: m.Header(record.KindCommitBegin)}
	begin.Begin = &record.CommitBegin{
		Libzypp:   record.Process{PID: 1000 + m.number, StartTicks: 5000},
		Actor:     record.Actor{Login: "tux", LoginUID: "1000", EUID: "0", SudoUser: "tux", SudoUID: "1000", TTY: "pts/0", Session: "3", Exe: "/usr/bin/zypper"},
		Command:   []string{"zypper", "-n", "in"},
		UserData:  fmt.Sprintf("CHG-%d", m.number),
		Installed: slices.Clone(m.Installed), Fixes: map[string]record.Fixes{}, Announced: []record.Change{},
	}
	for _, p := range m.Installed {
		if _, ok := livepatch.KernelFor(p.Name); ok {
			begin.Begin.Fixes[p.NEVRA()] = FixesOf(p)
		}
	}
	end := &record.Event{End: &record.CommitEnd{Commit: begin.ID, Outcome: outcome}}
	end.End.Changes = m.changes(in, out)
	for _, c := range end.End.Changes {
		c.Result, c.Stage = record.ResultUnknown, ""
		begin.Begin.Announced = append(begin.Begin.Announced, c)
	}
	if outcome == record.OutcomeStaged {
		begin.Begin.Staging = &record.Staging{Snapshot: "42", Root: "/tmp/transactional-update"}
	}
	m.Write(begin)
	m.Wait(time.Second)
	if m.work(outcome, in, out, end.End); outcome == "" {
		return
	}
	end.Header = m.Header(record.KindCommitEnd)
	m.Write(end)
	m.Wait(2 * time.Second)
	m.Observe(record.TriggerCommit)
}

// work is what happens between begin and end.
func (m *Machine) work(outcome record.Outcome, in, out []record.Package, end *record.CommitEnd) {
	done := outcome == record.OutcomeCompleted || outcome == ""
	if done {
		m.Apply(in, out)
	}
	for i := range end.Changes {
		c := &end.Changes[i]
		switch {
		case done:
			for _, p := range m.Installed {
				if p.Name == c.Package && p.Version == c.Version {
					c.InstallTime = new(record.At(time.Unix(p.InstallTime, 0)))
				}
			}
		case outcome == record.OutcomeStaged:
		default:
			c.Result, c.Stage, c.Added, c.Removed = record.ResultFailed, "err", record.Fixes{}, record.Fixes{}
		}
	}
	m.Wait(2 * time.Second)
	m.Settled()
}

// Settled says that packages no longer change.
func (m *Machine) Settled() {
	m.Happened()
	m.Truth[len(m.Truth)-1].changing = false
}

// Apply changes what is installed, loads the live patch for the running kernel, and builds initrds.
func (m *Machine) Apply(in, out []record.Package) {
	gone := func(p record.Package) bool {
		return slices.ContainsFunc(out, func(o record.Package) bool { return o.Name == p.Name && o.Version == p.Version }) ||
			slices.ContainsFunc(in, func(i record.Package) bool { return i.Name == p.Name && p.Name != "kernel-default" })
	}
	m.Installed = slices.DeleteFunc(slices.Clone(m.Installed), gone)
	for _, p := range in {
		m.number++
		p.InstallTime, p.InstallTID, p.DBInstance, p.BuildTime = m.Now.Unix(), m.Now.Unix(), int64(m.number), built(m.Now).Unix()
		m.Installed = append(m.Installed, p)
		if p.Name == "kernel-default" {
			m.Next = ReleaseOf(p)
		}
	}
	m.Happened()
	m.Truth[len(m.Truth)-1].changing = true
	for _, p := range slices.Concat(in, out) {
		m.Wait(time.Second)
		release := ReleaseOf(p)
		if p.Name != "kernel-default" && m.Boot != nil && release == m.Boot.KernelRelease && slices.ContainsFunc(in, func(i record.Package) bool { return i.Name == p.Name }) {
			m.Load(ModuleOf(p), "system", "R3")
			m.Wait(time.Second)
		}
		m.build(release)
	}
}

// built is when the packages that are installed now were built.
func built(now time.Time) time.Time { return now.Truncate(24*time.Hour).AddDate(0, 0, -6) }

// changes are what libzypp would do to the installed packages.
func (m *Machine) changes(in, out []record.Package) (list []record.Change) {
	for _, p := range in {
		c := Change(p)
		c.Action, c.Step, c.Added = "install", "+", FixesOf(p)
		c.BuildTime = new(record.At(built(m.Now)))
		for _, old := range m.Installed {
			if old.Name != p.Name || p.Name == "kernel-default" {
				continue
			}
			c.Previous = old.Version
			c.Added, c.Removed = FixesOf(p).Minus(FixesOf(old)), FixesOf(old).Minus(FixesOf(p))
			c.Action = map[int]record.Action{-1: "downgrade", 0: "reinstall", 1: "upgrade"}[cmp.Compare(Number(p), Number(old))]
		}
		list = append(list, c)
	}
	for _, p := range out {
		c := Change(p)
		c.Action, c.Step, c.Removed = "remove", "-", FixesOf(p)
		list = append(list, c)
	}
	return list
}

// Number is the number of a live patch.
func Number(p record.Package) int {
	text, _, _ := strings.Cut(p.Version, "-")
	n, _ := strconv.Atoi(text)
	return n
}

// Change is what is known of a package, whatever becomes of it.
func Change(p record.Package) record.Change {
	c := record.Change{
		Kind: livepatch.KindOf(p.Name), Package: p.Name, Arch: p.Arch, Version: p.Version, Result: record.ResultOK, Stage: "ok",
		KernelRelease: ReleaseOf(p), Repo: "updates", Checksum: "0123abcd", SignatureKey: p.SignatureKey, Vendor: p.Vendor,
	}
	if _, ok := livepatch.KernelFor(p.Name); ok {
		c.Module, c.PatchNumber = ModuleOf(p), Number(p)
		c.Initial = c.PatchNumber == 1
	}
	return c
}
