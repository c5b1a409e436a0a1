package lives

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
)

// claim is something that a report says of a moment.
type claim struct {
	section  string // state, timeline, cve, check
	part     string
	says     string
	inferred bool
	true     func(moment) bool
	times    []time.Time // that it says, too
}

func (c claim) kind() string {
	if c.inferred {
		return c.section + "/" + c.part + " inferred"
	}
	return c.section + "/" + c.part
}

// answers are the claims about a moment, and which parts are not known.
type answers struct {
	at      time.Time
	claims  []claim
	unknown map[string]bool
	since   *record.Timestamp // when what the state says came to be known; nil: it does not say
}

func (a *answers) add(section, part, says string, inferred bool, isTrue func(moment) bool, times ...time.Time) {
	a.claims = append(a.claims, claim{section, part, says, inferred, isTrue, times})
}

// product is what is asked: the reports on a record.
type product struct {
	ctx      context.Context
	record   audit.Reader
	timeline *audit.Timeline
	profile  *compliance.Profile
}

func newProduct(ctx context.Context, s audit.Reader) (p *product, err error) {
	defer recovered(&err)
	t, err := audit.WholeTimeline(ctx, s)
	if err != nil {
		return nil, err
	}
	profile, err := compliance.LoadProfile(compliance.DefaultProfile, nil)
	return &product{ctx, s, t, profile}, err
}

// recovered makes an error of a panic.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v", r)
	}
}

// ask asks everything about a moment.
func (p *product) ask(at time.Time) (a *answers, err error) {
	defer recovered(&err)
	a = &answers{at: at, unknown: map[string]bool{}}
	return a, errors.Join(p.askState(a), p.askTimeline(a))
}

func (p *product) askState(a *answers) error {
	st, err := audit.NewState(p.ctx, p.record, a.at)
	if err != nil {
		return err
	}
	a.since = st.KnownSince
	known := func(part string) bool {
		_, unknown := st.Unknown[part]
		a.unknown[part] = unknown
		return !unknown
	}
	inferred := func(part string) bool { return slices.Contains(st.Inferred, part) }
	if known("kernel_release") && st.KernelRelease != nil {
		a.add("state", "kernel", *st.KernelRelease+" "+*st.BootID, inferred("kernel_release"), isKernel(*st.KernelRelease, *st.BootID))
	}
	if known("live_patch") {
		module := ""
		if st.LivePatch != nil {
			module = st.LivePatch.Module
		}
		a.add("state", "patch", module, inferred("live_patch"), isPatched(module))
		if st.LivePatch != nil && st.LivePatch.Since != nil {
			a.add("state", "since", module, inferred("live_patch"), isSince(a.at, st.LivePatch.Since.Time, module), st.LivePatch.Since.Time)
		}
	}
	if p := st.LivePatch; p != nil && p.Package != nil && p.Version != nil {
		a.add("state", "package", *p.Package+" "+*p.Version, inferred("live_patch"), func(m moment) bool {
			return level(*p.Version) == level(p.Module) && strings.HasSuffix(*p.Package, strings.ReplaceAll(m.kernel, ".", "_"))
		})
	}
	if known("cves") && st.CVEs != nil {
		a.add("state", "cves", strings.Join(st.CVEs, " "), inferred("live_patch"), hasFixes(st.CVEs))
	}
	if known("installed") && st.Installed != nil {
		pkgs := identity(slices.DeleteFunc(slices.Clone(st.Installed), func(p record.Package) bool { return p.Kind != "kernel" && p.Kind != "livepatch" }))
		a.add("state", "installed", pkgs, inferred("installed"), func(m moment) bool { return m.changing || m.installed == pkgs })
	}
	a.unknown["initrd"] = st.Unknown["initrd"] != "" || st.Initrd != nil && st.Initrd.Verdict == record.VerdictUnknown
	if v := st.Initrd; v != nil && v.Verdict != record.VerdictUnknown && v.Patch != "" {
		is := isVerdict(v.KernelRelease, v.Patch, v.Verdict)
		a.add("state", "initrd", string(v.Verdict)+" "+v.Patch, inferred("initrd") || v.Basis == record.BasisInferred, is)
		if v.Basis == record.BasisInferred {
			a.add("state", "initrd by inference", string(v.Verdict)+" "+v.Patch, true, is)
		}
	}
	if known("next_boot") && st.NextBoot != nil {
		n := st.NextBoot
		a.add("state", "next", n.KernelRelease, inferred("next_boot"), func(m moment) bool { return m.changing || m.next == n.KernelRelease })
		if n.LivePatch != nil {
			a.add("state", "next patch", *n.LivePatch, inferred("next_boot") || inferred("initrd") || st.Initrd.Basis == record.BasisInferred, func(m moment) bool { return m.images[n.KernelRelease] == *n.LivePatch })
		}
	}
	if known("covered_until") && st.CoveredUntil != nil {
		a.add("state", "covered", *st.CoveredUntil, inferred("covered_until"), func(m moment) bool { return m.boot != "" && *st.CoveredUntil == covered(m.kernel) })
	}
	if known("pending_reboot") && st.PendingReboot != nil {
		a.add("state", "reboot", *st.PendingReboot, inferred("pending_reboot"), isPending(*st.PendingReboot))
	}
	return nil
}

// isSince says whether a live patch was loaded at a time: in the boot that ran at a moment.
func isSince(at, since time.Time, module string) func(moment) bool {
	return func(m moment) bool {
		return !since.After(at) && slices.ContainsFunc(m.loads, func(l load) bool { return l.module == module && l.at.Sub(since).Abs() < slack })
	}
}

func isKernel(release, id string) func(moment) bool {
	return func(m moment) bool { return m.boot == id && m.kernel == release }
}

func isPatched(module string) func(moment) bool {
	return func(m moment) bool {
		return m.boot != "" && (m.active == module || m.moving != "" && m.moving == module)
	}
}

func hasFixes(cves []string) func(moment) bool {
	return func(m moment) bool {
		of := func(n int) bool {
			return slices.Equal(cves, fixesOf(m.kernel, n).CVEs) || len(cves) == 0 && n < 2
		}
		return of(m.fixes()) || m.undoing && of(level(m.moving))
	}
}

func isVerdict(release, module string, v record.Verdict) func(moment) bool {
	return func(m moment) bool {
		// A newer live patch that waits in another snapshot has the fixes, too.
		newer := m.staged && level(m.images[release]) > level(module)
		return (m.images[release] == module || newer) == (v == record.VerdictContained) || newer && m.running[release] != module
	}
}

func isPending(p string) func(moment) bool {
	return func(m moment) bool {
		// A newer live patch than the installed one, after a downgrade, is neither.
		either := m.loaded != "" && level(m.active) > level(m.loaded) && p != string(record.PendingNo) && m.pending != record.PendingNo
		return m.changing || m.boot != "" && (string(m.pending) == p || either)
	}
}

func spanAt[T any](spans []T, of func(T) audit.Span, at time.Time) (s T, ok bool) {
	for _, s := range spans {
		if o := of(s); !o.From.After(at) && o.To.After(at) && o.Confidence != audit.Unknown {
			return s, true
		}
	}
	return s, false
}

func (p *product) askTimeline(a *answers) error {
	if k, ok := spanAt(p.timeline.Kernels, func(k audit.KernelSpan) audit.Span { return k.Span }, a.at); ok && k.BootID != "" && k.KernelRelease != "" {
		a.add("timeline", "kernel", k.KernelRelease+" "+k.BootID, k.Confidence == audit.Inferred, isKernel(k.KernelRelease, k.BootID))
	}
	if s, ok := spanAt(p.timeline.Patches, func(s audit.PatchSpan) audit.Span { return s.Span }, a.at); ok {
		a.add("timeline", "patch", s.Module, s.Confidence == audit.Inferred, isPatched(s.Module))
	}
	if v, ok := spanAt(p.timeline.Initrds, func(s audit.InitrdSpan) audit.Span { return s.Span }, a.at); ok {
		a.add("timeline", "initrd", string(v.Verdict)+" "+v.Module, v.Confidence == audit.Inferred || v.Basis == record.BasisInferred, func(m moment) bool { return isVerdict(m.kernel, v.Module, v.Verdict)(m) })
	}
	return nil
}

// disagreement names a part of which two sections say different things, or one does not know
// what the other has proven; empty: none.
func (a *answers) disagreement() string {
	for _, s := range a.claims {
		if s.section != "timeline" || s.inferred {
			continue
		}
		i := slices.IndexFunc(a.claims, func(t claim) bool { return t.section == "state" && t.part == s.part })
		switch {
		case i < 0 && (s.part == "kernel" || s.part == "patch"):
			return s.part + ": state does not know, timeline " + s.says
		case i >= 0 && a.claims[i].says != s.says:
			return s.part + ": state " + a.claims[i].says + ", timeline " + s.says
		}
	}
	return ""
}

// askCVEs asks for the fixes as of a moment; what it says is of the end of the timeline then.
func (p *product) askCVEs(l *life, at time.Time) (a *answers, err error) {
	defer recovered(&err)
	t, err := audit.TimelineUntil(p.ctx, p.record, at)
	if err != nil {
		return nil, err
	}
	list, err := audit.NewExposures(p.ctx, p.record, t, at, nil)
	if err != nil {
		return nil, err
	}
	a = &answers{at: t.To.Add(-time.Microsecond), unknown: map[string]bool{}}
	for _, e := range list {
		if e.Reason == "The kernel itself fixes it." || e.Package == "" || e.ByKernel() || e.Status == audit.StatusAvailable || e.NotOffered != "" {
			continue // askOpen does
		}
		a.exposure(l, e)
		a.course(l, e)
	}
	return a, nil
}

// exposure checks what is said of one fix.
func (a *answers) exposure(l *life, e audit.Exposure) {
	has := func(m moment) bool {
		return m.kernel == e.KernelRelease && slices.Contains(fixesOf(m.kernel, m.fixes()).CVEs, e.CVE)
	}
	// While it is being taken away, some tasks have it still: either is right.
	fixed := func(m moment) bool {
		return has(m) || m.undoing && m.kernel == e.KernelRelease && slices.Contains(fixesOf(m.kernel, level(m.moving)).CVEs, e.CVE)
	}
	brings := func(m moment) bool {
		for _, p := range strings.Fields(m.installed) {
			if v, ok := strings.CutPrefix(p, e.Package+"-"); ok && slices.Contains(fixesOf(e.KernelRelease, level(v)).CVEs, e.CVE) {
				return true
			}
		}
		return false
	}
	says := e.CVE + " " + string(e.Status)
	switch e.Status {
	case audit.StatusFixed:
		a.add("cve", "fixed", says, false, fixed)
	case audit.StatusInstalled:
		a.add("cve", "installed", says, false, func(m moment) bool { return m.changing || brings(m) && !has(m) })
	case audit.StatusLost:
		was := slices.ContainsFunc(l.history, func(m moment) bool { return has(m) || brings(m) })
		a.add("cve", "lost", says, false, func(m moment) bool { return was && !has(m) })
	case audit.StatusOtherKernel:
		a.add("cve", "other-kernel", says, false, func(m moment) bool { return m.kernel != e.KernelRelease })
	}
	if e.Installed != nil && l.sound() { // what was staged came with a boot, whose time follows the clock
		a.check(l, "installed at", says, e.Installed.Time, func(m moment) bool { return m.changing || brings(m) })
	}
	if e.Active != nil {
		a.check(l, "active", says, e.Active.Time, has)
	}
	if e.Lost != nil {
		a.check(l, "lost at", says+" by "+string(e.LostBy), e.Lost.Time, func(m moment) bool { return !has(m) })
	}
	if e.Back != nil {
		a.check(l, "back", says, e.Back.Time, has, e.Lost.Time)
	}
}

// check adds a claim about another moment, a second after it began, with others that it is about.
func (a *answers) check(l *life, part, says string, at time.Time, isTrue func(moment) bool, others ...time.Time) {
	at = at.Add(time.Second)
	ok := l.right(at, isTrue)
	a.add("cve", part, says, false, func(moment) bool { return ok }, append(others, at)...)
}

// askChecks asks for the checks at the moment of an observation.
func (p *product) askChecks(l *life, at time.Time) (a *answers, err error) {
	defer recovered(&err)
	c, err := compliance.Judge(p.ctx, p.record, p.profile, at)
	if err != nil {
		return nil, err
	}
	a = &answers{at: at, unknown: map[string]bool{}}
	begin, _, err := p.record.Extent(p.ctx)
	if err != nil {
		return nil, err
	}
	a.updateChecks(l, c.Checks, at, begin.Time)
	a.furtherChecks(l, c.Checks)
	seen := l.judged(at)
	for _, r := range c.Checks {
		is := map[string]func(moment) bool{
			"patch-in-initrd": func(m moment) bool {
				return isVerdict(m.kernel, m.active, record.VerdictContained)(m) && m.active != "" || m.moving != "" && m.images[m.kernel] == m.moving
			},
			"next-boot":        func(m moment) bool { return m.next == m.newest },
			"kernel-supported": func(m moment) bool { return m.pending != record.PendingYes },
			"patch-loaded":     func(m moment) bool { return m.active == m.loaded },
		}[r.ID]
		if is == nil || r.Result != compliance.Pass && r.Result != compliance.Fail {
			continue
		}
		passes := r.Result == compliance.Pass
		ok := l.right(seen, func(m moment) bool {
			neither := r.ID == "patch-in-initrd" && isVerdict(m.kernel, m.active, record.VerdictMissing)(m)
			return is(m) == passes || (m.moving != "" || neither) && !passes
		})
		a.add("check", r.ID, string(r.Result), strings.Contains(r.Detail, string(record.BasisInferred)), func(moment) bool { return ok })
	}
	return a, nil
}
