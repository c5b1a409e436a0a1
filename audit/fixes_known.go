package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/record"
)

// answer is what the record says to a question: nothing, yes, or no.
type answer int

const (
	maybe answer = iota
	yes
	no
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

// both is yes where both are, and no where one is no.
func both(a, b answer) answer {
	switch {
	case a == no || b == no:
		return no
	case a == yes && b == yes:
		return yes
	}
	return maybe
}

// list notes all that the version fixes.
func (v *patchVersion) list(cves []string) {
	v.fixes, v.all = setOf(cves), true
}

func setOf(list []string) map[string]bool {
	set := map[string]bool{}
	for _, s := range list {
		set[s] = true
	}
	return set
}

// learn takes in what a change says of the versions before and after it, and returns whether any of it
// was new.
func learn(before, after *patchVersion, added, removed []string) (news bool) {
	if len(added)+len(removed) == 0 {
		return false // nothing came or went, or nobody could tell
	}
	for _, side := range []struct {
		v, other    *patchVersion
		has, hasNot []string
	}{{after, before, added, removed}, {before, after, removed, added}} {
		if side.v == nil || side.v.all {
			continue
		}
		known := len(side.v.fixes)
		for _, cve := range side.has {
			side.v.fixes[cve] = true
		}
		for _, cve := range side.hasNot {
			side.v.fixes[cve] = false
		}
		if side.other == nil || side.other.all {
			if side.other != nil {
				for cve, has := range side.other.fixes {
					if _, told := side.v.fixes[cve]; !told {
						side.v.fixes[cve] = has
					}
				}
			}
			side.v.all = true
		}
		news = news || side.v.all || len(side.v.fixes) > known
	}
	return news
}

// has says whether a version fixes a CVE: as the record says of it, or of others, for each live
// patch of a kernel holds the fixes of those with lower numbers. The initial one has none.
func (p *patchHistory) has(version, cve string) answer {
	number := PatchNumberOf(version)
	if v := p.versions[version]; v != nil {
		if has, told := v.fixes[cve]; told || v.all {
			return answerOf(has)
		}
	}
	lower, higher := false, false
	for _, v := range p.versions {
		has, told := v.fixes[cve]
		lower = lower || has && v.number > 0 && v.number <= number
		higher = higher || !has && (told || v.all) && v.number >= number
	}
	switch {
	case number == 0 || lower && higher:
		return maybe
	case lower:
		return yes
	case higher || number == 1:
		return no
	}
	return maybe
}

// versionOf returns the version of the package that a module is from: as the record has it, or as the
// name of the module says. It is empty if that is not known.
func (p *patchHistory) versionOf(module string) string {
	if version, known := p.modules[module]; known {
		return version
	}
	version, release, ok := livepatch.ParseModule(module)
	if !ok {
		return ""
	}
	return version + "-" + release
}

// moduleOfPackage is the module that is in a version of a live patch package.
func moduleOfPackage(name, version string) string {
	if _, after, ok := strings.Cut(version, ":"); ok { // an epoch
		version = after
	}
	version, release, _ := strings.Cut(version, "-")
	return livepatch.Module(name, version, release)
}

// holds says whether a CVE was fixed in the kernel in a span.
func (p *patchHistory) holds(s PatchSpan, cve string) answer {
	switch {
	case s.Confidence == Unknown:
		return maybe
	case s.Module == "":
		return no
	case s.unsure, s.Transition && s.Replaces == nil:
		return both(p.has(p.versionOf(s.Module), cve), maybe)
	case !s.Transition:
		return p.has(p.versionOf(s.Module), cve)
	case *s.Replaces == "":
		return no
	}
	return both(p.has(p.versionOf(s.Module), cve), p.has(p.versionOf(*s.Replaces), cve))
}

// cves are all that a version which was here fixes.
func (p *patchHistory) cves() map[string]bool {
	here := map[string]bool{}
	for _, told := range p.versions {
		for cve, has := range told.fixes {
			for _, v := range p.versions {
				if has && v.present && !here[cve] && p.has(v.version, cve) == yes {
					here[cve] = true
				}
			}
		}
	}
	return here
}

// seenActive is when a live patch with a fix was seen active first, null if it was not.
func (p *patchHistory) seenActive(cve string) (first *record.Timestamp) {
	for _, v := range p.versions {
		if v.active != nil && p.has(v.version, cve) == yes && (first == nil || v.active.Before(first.Time)) {
			first = v.active
		}
	}
	return first
}

// inInitrds notes for each span when an initrd is first proven to hold its live patch: the
// initrd that loaded it, or one that an observation saw. Both lists are in the order of time.
func (p *patchHistory) inInitrds(initrds []InitrdSpan) {
	p.kept = make([]*record.Timestamp, len(p.spans))
	next := 0
	for i, s := range p.spans {
		if s.Confidence == Unknown || s.boot.KernelRelease != p.kernel {
			continue
		}
		if s.Phase == record.PhaseInitrd && s.Module != "" {
			p.kept[i] = new(active(s.PatchSpan))
		}
		for ; next < len(initrds) && initrds[next].From.Before(s.To.Time); next++ {
			v := initrds[next]
			proven := v.Verdict == record.VerdictContained && v.Basis != record.BasisInferred
			if p.kept[i] == nil && proven && v.Module == s.Module && !v.From.Before(s.From.Time) {
				p.kept[i] = &initrds[next].From
			}
		}
	}
}

// sawActive notes the versions whose live patch the timeline shows active, before their package was seen.
func (p *patchHistory) sawActive() {
	for _, s := range p.spans {
		v := p.versions[p.modules[s.Module]]
		if v != nil && !v.present && s.Module != "" && s.Confidence != Unknown && s.boot.KernelRelease == p.kernel && len(s.Events) > 0 {
			v.saw(s.From, s.Events[len(s.Events)-1])
		}
	}
}

// versionsIn are the versions of the package among installed ones.
func (p *patchHistory) versionsIn(pkgs []record.Package) (versions []string) {
	for _, i := range pkgs {
		if i.Name == p.name {
			versions = append(versions, i.Version)
		}
	}
	return versions
}

// installedNow says which versions of the package are installed; known is false if that is not
// on record, for the reason.
func (p *patchHistory) installedNow() (versions []string, known bool, reason string) {
	since := time.Time{}
	switch {
	case p.state != nil:
		reason = p.state.Unknown["installed"]
		return p.versionsIn(p.state.Installed), reason == "", reason
	case p.looked != nil:
		versions, known, since = p.versionsIn(p.looked.Installed), true, p.looked.At.Time
	}
	for _, c := range p.changes {
		switch {
		case !c.Time.After(since):
			continue
		case c.Result != record.ResultOK:
			known, reason = false, fmt.Sprintf("What became of the %s of %s %s at %s is not known.", c.Action, p.name, c.Version, c.Time.Short())
			continue
		case c.elsewhere:
			known, reason = false, fmt.Sprintf("In which snapshot the %s of %s %s at %s was done is not known.", c.Action, p.name, c.Version, c.Time.Short())
			continue
		}
		gone := cmp.Or(c.Previous, c.Version)
		versions = slices.DeleteFunc(versions, func(v string) bool { return v == gone })
		if known, reason = true, ""; c.Action != record.ActionRemove {
			versions = append(versions, c.Version)
		}
	}
	for _, c := range p.changes {
		since = later(record.At(since), c.Time).Time
	}
	switch u := p.unread; {
	case !known && reason == "":
		reason = "No observation shows what is installed."
	case known && u != nil && u.At.Sub(since) > briefly:
		return nil, false, fmt.Sprintf("The observation at %s could not read it (event %d).", u.At.Short(), u.Event)
	}
	return versions, known, reason
}
