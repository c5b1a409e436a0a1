package compliance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// kernelSupported is SUSE's own rule: the newest installed kernel runs, or its newest live
// patch is active.
func kernelSupported(g *grounds, _ Criteria) finding {
	r, running := g.seen.Reboot, g.seen.Kernel.Release
	if r == nil {
		return g.notKnown("reboot")
	}
	switch unknown := g.seen.newestUnknown(); {
	case unknown != "" && r.Pending == record.PendingLivePatched:
		return found(Pass, "Kernel %s runs with its newest live patch; %s.", running, unknown)
	case unknown != "":
		return found(NotDetermined, "Kernel %s runs; %s.", running, unknown)
	case r.NewestKernel == "":
		return found(NotDetermined, "Kernel %s runs, and no package of such a kernel is installed.", running)
	case r.NewestKernel == running:
		return found(Pass, "Kernel %s runs, the newest one that is installed.", running)
	}
	switch g.seen.PendingReboot() {
	case record.PendingLivePatched:
		return found(Pass, "Kernel %s runs with its newest live patch; the newer %s is installed.", running, r.NewestKernel)
	case record.PendingUnknown:
		return g.notKnown("patches")
	}
	return found(Fail, "Kernel %s runs without its newest live patch, and the newer %s is installed.", running, r.NewestKernel).
		toDo("install and load its newest live patch with `zypper patch`, or %s", g.rebootInto(r.NewestKernel))
}

// rebootInto says how a kernel gets to run: the next boot may be of another one.
func (g *grounds) rebootInto(kernel string) string {
	if g.bootsNext(kernel) == no {
		return fmt.Sprintf("set the default boot entry to kernel %s, for the next boot would run %s; then reboot", kernel, g.seen.NextBoot.KernelRelease)
	}
	return "reboot into kernel " + kernel
}

// patchState checks that exactly one live patch is enabled, its transition complete, and nothing forced.
func patchState(g *grounds, c Criteria) finding {
	o := g.seen
	if o.Patches == nil {
		return g.notKnown("patches")
	}
	var enabled []string
	for _, p := range o.Patches {
		if p.Enabled {
			enabled = append(enabled, p.Module)
		}
	}
	lp := o.LivePatch
	switch leaves := o.leaving(); {
	case len(o.Patches) == 0:
		return found(NotApplicable, "No live patch is loaded.")
	case leaves != "" && len(enabled) > 0:
		return found(NotDetermined, "Live patch %s is being disabled%s; since when is not on record.", leaves, g.blocked())
	case leaves != "":
		return found(Fail, "Live patch %s is being disabled%s, and no other is enabled.", leaves, g.blocked())
	case o.replaces():
		return transition(g, c, lp)
	case len(enabled) == 0:
		return found(Fail, "Live patch %s is loaded, and not enabled.", o.Patches[0].Module)
	case len(enabled) > 1:
		return found(Fail, "%d live patches are enabled, not one: %s.", len(enabled), strings.Join(enabled, ", "))
	case lp == nil:
		return found(NotDetermined, "Live patch %s is enabled, and the observation does not describe it.", enabled[0])
	case lp.Transition:
		return transition(g, c, lp)
	case lp.Package == nil && o.Installed == nil:
		return g.notKnown("installed")
	case lp.Package == nil:
		return found(Fail, "Live patch %s is enabled, and is of no installed package.", lp.Module)
	case g.forced == nil:
		return found(NotDetermined, "Live patch %s is enabled; whether tasks were forced over to it is not on record.", lp.Module)
	case *g.forced:
		return found(Fail, "Live patch %s is enabled, and tasks were forced over to it.", lp.Module).toDo("reboot: only that makes sure that no task runs what the live patch replaces")
	}
	return found(Pass, "Live patch %s is enabled, complete and not forced.", lp.Module)
}

// leaving is the module of a live patch that is being disabled, empty if none is. It has no
// part in what LivePatch describes. kGraft has one transition for all patches.
func (o *seen) leaving() string {
	for _, p := range o.Patches {
		if p.Transition && !p.Enabled && !p.KGraft {
			return p.Module
		}
	}
	return ""
}

// replaces says whether the active live patch takes the place of all others. Until it has, the
// kernel leaves those enabled, and that is one transition (klp_discard_replaced_patches).
// Older kernels do not show what a patch replaces; SUSE's replace all.
func (o *seen) replaces() bool {
	return o.LivePatch != nil && slices.ContainsFunc(o.Patches, func(p record.LoadedPatch) bool {
		return p.Module == o.LivePatch.Module && p.Enabled && p.Transition && (p.Replace == nil || *p.Replace)
	})
}

func transition(g *grounds, c Criteria, lp *record.LivePatch) finding {
	if lp.Since == nil {
		return found(NotDetermined, "Live patch %s is in transition%s; since when is not on record.", lp.Module, g.blocked())
	}
	held := g.seen.At.Sub(lp.Since.Time)
	if held < -audit.LongestObservation {
		return found(NotDetermined, "Live patch %s is in transition%s; since when is not known: the clock was ahead.", lp.Module, g.blocked())
	}
	return found(c.longer(held), "Live patch %s was in transition for %s%s.", lp.Module, say.Duration(max(0, held)), g.blocked())
}

// blocked says how many tasks hold a transition up, with the comma before it.
func (g *grounds) blocked() string {
	tasks, _, ok := part[record.Blockers](g)
	if !ok || len(tasks) == 0 {
		return ""
	}
	return ", held up by " + say.Plural(len(tasks), "task")
}

// patchLoaded is that the installed live patch is the active one.
func patchLoaded(g *grounds, c Criteria) finding {
	o := g.seen
	switch {
	case o.Installed == nil:
		return g.notKnown("installed")
	case o.Patches == nil:
		return g.notKnown("patches")
	}
	p := o.patchPackage()
	if p == nil {
		return found(NotApplicable, "No live patch is installed for kernel %s.", o.Kernel.Release)
	}
	lp, active := o.LivePatch, "none is active"
	switch {
	case lp != nil && lp.Transition:
		active = "the load of " + lp.Module + " is not complete"
	case lp != nil && record.OrEmpty(lp.Package) == p.Name && record.OrEmpty(lp.Version) == p.Version && lp.Enabled:
		return found(Pass, "Live patch %s is installed and active.", p.Version)
	case lp != nil:
		active = lp.Module + " is active"
	}
	since := time.Unix(p.InstallTime, 0)
	waits := g.seen.At.Sub(since)
	if waits < -audit.LongestObservation {
		return found(Fail, "Live patch %s is installed, and %s; since when is not known: the clock was ahead.", p.Version, active)
	}
	f := found(Fail, "Live patch %s is installed since %s, and %s.", p.Version, record.At(since).Short(), active)
	if waits < time.Duration(c.Warn) {
		f.rating = Warn // it may be about to be loaded
	}
	return f
}

// patchInInitrd checks that an unexpected reboot keeps the fixes.
func patchInInitrd(g *grounds, _ Criteria) finding {
	v := g.seen.Initrd
	var f finding
	switch {
	case v.Reason == record.ReasonNoPatch:
		return found(NotApplicable, "No live patch is active.")
	case v.Reason == record.ReasonNoImage:
		f = found(Fail, "Kernel %s has no initrd at all: it does not boot.", v.KernelRelease).toDo("%s", g.buildInitrd(v.KernelRelease, BuildHint(v.KernelRelease)+" before any reboot"))
	case v.Verdict == record.VerdictContained:
		f = found(Pass, "The initrd of kernel %s holds %s (basis: %s).", v.KernelRelease, v.Patch, v.Basis)
	case v.Verdict == record.VerdictMissing:
		f = found(Fail, "The initrd of kernel %s does not hold %s (basis: %s): an unexpected reboot loses its fixes.", v.KernelRelease, v.Patch, v.Basis).
			toDo("%s; see `klp-audit initrd --explain`", g.buildInitrd(v.KernelRelease, BuildHint(v.KernelRelease)))
	default:
		f = found(NotDetermined, "Whether the initrd of kernel %s holds %s cannot be proven: %s.", v.KernelRelease, v.Patch, v.Reason)
	}
	for _, e := range v.Evidence {
		switch {
		case e.Cursor != "":
			f.evidence = append(f.evidence, "journal "+e.Cursor)
		case e.Path != "":
			f.evidence = append(f.evidence, "image "+e.Path)
		}
	}
	return f
}

// answer is yes or no, or neither is known.
type answer int

const (
	notKnown answer = iota
	yes
	no
)

// bootsNext says whether the next boot runs a kernel.
func (g *grounds) bootsNext(kernel string) answer {
	switch next := g.seen.NextBoot; {
	case next == nil || next.KernelRelease == "":
		return notKnown
	case next.KernelRelease == kernel:
		return yes
	}
	return no
}

// buildInitrd says what to do about the initrd of a kernel: to build it helps only if that kernel boots next.
func (g *grounds) buildInitrd(kernel, build string) string {
	switch g.bootsNext(kernel) {
	case yes:
		return build
	case no:
		return fmt.Sprintf("leave the initrd of kernel %s alone, for the next boot runs %s: see that %s has its newest live patch, with `zypper patch`", kernel, g.seen.NextBoot.KernelRelease, g.seen.NextBoot.KernelRelease)
	}
	return fmt.Sprintf("find out which kernel boots next; if that is %s, %s", kernel, build)
}

// nextBoot checks that the default boot entry runs the newest kernel.
func nextBoot(g *grounds, _ Criteria) finding {
	o := g.seen
	switch {
	case o.NextBoot == nil:
		return g.notKnown("next_boot")
	case o.Reboot == nil:
		return g.notKnown("reboot")
	}
	next, newest := o.NextBoot.KernelRelease, o.Reboot.NewestKernel
	if next != "" && g.noImageOf() == next {
		return found(Fail, "The next boot runs kernel %s, which has no initrd: it does not boot.", next).toDo("%s before any reboot", BuildHint(next))
	}
	switch unknown := o.newestUnknown(); {
	case next != "" && unknown != "":
		return found(NotDetermined, "The next boot runs kernel %s; %s.", next, unknown)
	case next == "" || newest == "":
		return found(NotDetermined, "The next boot runs kernel %q, and the newest installed one is %q.", next, newest)
	case next == newest && next == o.Kernel.Release:
		return found(Pass, "The next boot runs kernel %s again, the newest one that is installed.", next)
	case next == newest:
		return found(Pass, "The next boot runs kernel %s, the newest one that is installed.", next)
	case next == o.Kernel.Release:
		return found(Warn, "The next boot runs kernel %s again, although %s is installed.", next, newest).toDo("set the default boot entry to kernel %s", newest)
	}
	return found(Fail, "The next boot runs kernel %s, which is neither the running %s nor the newest installed %s.", next, o.Kernel.Release, newest).toDo("set the default boot entry to kernel %s", newest)
}

// coverage checks that the vendor still makes live patches for the kernel.
func coverage(g *grounds, c Criteria) finding {
	if g.seen.unpatched() {
		return found(NotApplicable, "Kernel %s runs without live patches.", g.seen.Kernel.Release)
	}
	covered, f, ok := part[record.Coverage](g)
	if !ok {
		return f
	}
	end, isDay := covered.Day()
	if !isDay {
		return found(NotDetermined, "The lifecycle data has the date %q, which is none.", covered.Date)
	}
	left := g.daysUntil(end)
	source := fmt.Sprintf("%s:%d", covered.File, covered.Line)
	switch days := func(p Period) int { return int(time.Duration(p).Hours() / 24) }; {
	case left < 0:
		return found(Fail, "Live patches for kernel %s ended on %s, %s ago (%s).", g.seen.Kernel.Release, covered.Date, say.Plural(-left, "day"), source)
	case left < days(c.Fail):
		return found(Fail, "Live patches for kernel %s end on %s, in %s (%s).", g.seen.Kernel.Release, covered.Date, say.Plural(left, "day"), source)
	case left < days(c.Warn):
		return found(Warn, "Live patches for kernel %s end on %s, in %s (%s).", g.seen.Kernel.Release, covered.Date, say.Plural(left, "day"), source)
	}
	return found(Pass, "Live patches for kernel %s are made until %s, for %s (%s).", g.seen.Kernel.Release, covered.Date, say.Plural(left, "day"), source)
}

// coverageEnd is the last day of the coverage, as far as it is known.
func (g *grounds) coverageEnd() (time.Time, bool) {
	covered, _, ok := part[record.Coverage](g)
	end, isDay := covered.Day()
	return end, ok && isDay
}

func (g *grounds) daysUntil(date time.Time) int {
	return int(date.Sub(audit.Day(g.at.UTC())).Hours() / 24)
}

// rebootLag checks that no newer kernel waits for a reboot for too long.
func rebootLag(g *grounds, c Criteria) finding {
	r := g.seen.Reboot
	if r == nil {
		return g.notKnown("reboot")
	}
	switch unknown := g.seen.newestUnknown(); {
	case unknown != "":
		return found(NotDetermined, "Kernel %s runs; %s.", g.seen.Kernel.Release, unknown)
	case r.NewestKernel == g.seen.Kernel.Release:
		return found(Pass, "Kernel %s runs, and no newer one waits.", g.seen.Kernel.Release)
	case r.NewestKernel == "":
		return found(NotDetermined, "Which installed kernel is the newest is not known.")
	case g.seen.Installed == nil:
		return g.notKnown("installed")
	}
	p := g.seen.kernelPackage(r.NewestKernel)
	if p == nil || p.InstallTime == 0 {
		return found(NotDetermined, "Kernel %q waits for a reboot; since when is not on record.", r.NewestKernel)
	}
	patched := "without its newest live patch"
	switch g.seen.PendingReboot() {
	case record.PendingLivePatched:
		patched = "live patched"
	case record.PendingUnknown:
		patched = "and whether it is live patched is not known"
	}
	lag := g.at.Sub(time.Unix(p.InstallTime, 0))
	if lag < 0 {
		return found(NotDetermined, "Kernel %s waits for a reboot; since when is not known: the clock was ahead when it was installed.", r.NewestKernel)
	}
	return found(c.longer(lag), "Kernel %s waits for a reboot for %s; %s runs, %s.", r.NewestKernel, say.Duration(lag), g.seen.Kernel.Release, patched).toDo("%s", g.rebootInto(r.NewestKernel))
}

// taint checks that nothing but live patches taints the kernel.
func taint(g *grounds, c Criteria) finding {
	tainted, f, ok := part[record.Taint](g)
	if !ok {
		return f
	}
	var odd []string
	for _, flag := range tainted.Flags {
		if flag.Letter == "" || !slices.Contains(c.Allowed, flag.Letter) {
			odd = append(odd, fmt.Sprintf("bit %d %s (%s)", flag.Bit, flag.Letter, flag.Meaning))
		}
	}
	if odd != nil {
		return listing(Fail, odd, "The kernel is tainted, value %d: %s.", tainted.Value)
	}
	return found(Pass, "The kernel's taint value is %d, which is as it should be.", tainted.Value)
}
