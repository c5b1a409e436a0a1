package audit

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

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
