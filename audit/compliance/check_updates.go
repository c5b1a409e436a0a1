package compliance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// updates checks that live patches for the running kernel that are on offer, and fix something, are installed, and that
// the one that is was not taken back by the vendor.
func updates(g *grounds, c Criteria) finding {
	if f, ok := g.retracted(); ok {
		return f
	}
	return g.stillOpen(c, isOnOffer, "by a live patch that is on offer and not installed",
		"No live patch with a fix is on offer that is not installed.")
}

// isOnOffer says whether a live patch that is on offer and not installed brings a fix that is not active, or not known to be.
func isOnOffer(e *audit.Exposure) bool { return e.OnOffer != nil && e.Status != audit.StatusFixed }

// residual checks that no fix that only a newer kernel brings waits for too long.
func residual(g *grounds, c Criteria) finding {
	return g.stillOpen(c, func(e *audit.Exposure) bool { return e.Status == audit.StatusNeedsKernel }, "only by a newer kernel", "No fix is known that only a newer kernel brings.")
}

// stillOpen judges the numbers that are open in one way, but for those that exceptions accept.
func (g *grounds) stillOpen(c Criteria, is func(*audit.Exposure) bool, how, none string) finding {
	var a accepted
	rows := slices.DeleteFunc(slices.Clone(g.exposures), func(e audit.Exposure) bool { return !is(&e) || a.has(&e) })
	how = fmt.Sprintf("%s can be fixed %s", say.Plural(len(rows)+a.numbers, "number"), how)
	switch {
	case len(rows) > 0 && a.numbers > 0:
		how += fmt.Sprintf(", %d of them not accepted", len(rows))
		fallthrough
	case len(rows) > 0:
		return a.on(g.worstOf(rows, c, how))
	case a.numbers > 0:
		none = how + "."
	}
	f := g.nothingOpen(none, &a)
	return a.on(f)
}

// openRatings are those of a number that is open, or may be, the worst first: what is open stays so, whatever is not known of
// others.
var openRatings = []Rating{Fail, Warn, NotDetermined, Pass}

// worstOf rates numbers that are open by the worst of them.
func (g *grounds) worstOf(rows []audit.Exposure, c Criteria, how string) finding {
	rating, late := Pass, 0
	var worst audit.Exposure
	var worstAge time.Duration
	var f finding
	for _, e := range rows {
		age, known := g.openFor(&e)
		r := c.of(e.Severity).longer(age)
		switch {
		case e.MayBeActive():
			r = NotDetermined
		case !known:
			r = Warn
		}
		if r == Warn || r == Fail {
			late++
			f = f.by(e.Events...)
		}
		if order := cmp.Compare(slices.Index(openRatings, r), slices.Index(openRatings, rating)); worst.CVE == "" || order < 0 || order == 0 && age > worstAge {
			rating, worst, worstAge = r, e, age
		}
	}
	f.rating = rating
	f.detail = fmt.Sprintf("%s; the worst is %s", how, worst.WhatIsOpen())
	switch rating {
	case NotDetermined:
		f.detail += ", and whether that is active still is not known."
	case Pass:
		f.detail += "; it is not too late for any yet."
	default:
		f.detail += fmt.Sprintf("; %d for longer than the profile allows.", late)
		return f
	}
	return f.by(worst.Events...)
}

func (g *grounds) openFor(e *audit.Exposure) (age time.Duration, known bool) {
	if e.OpenSince == nil {
		return 0, false
	}
	return max(0, g.at.Sub(e.OpenSince.Time)), true
}

// nothingOpen passes where it is known what is on offer, but for numbers that are accepted.
func (g *grounds) nothingOpen(none string, a *accepted) finding {
	switch {
	case !g.offers.Known():
		return found(NotDetermined, "What the vendor has released is not on record.")
	case g.running == "":
		return found(NotDetermined, "Which kernel runs is not known.")
	case g.seen != nil && g.seen.Installed == nil:
		return g.notKnown("installed").by(g.seen.Event)
	}
	for _, e := range g.exposures {
		why := ""
		switch {
		case e.MayBeInstalled:
			why = audit.WhetherInstalled
		case e.NotOffered == audit.OfferOff || e.NotOffered == audit.OfferWithdrawn:
			why = e.Reason
		}
		if why != "" && !a.has(&e) {
			return found(NotDetermined, "%s: %s", e.CVE, why).by(e.Events...)
		}
	}
	if why := g.offers.Stale(); why != "" {
		return found(NotDetermined, "%s", why)
	}
	return found(Pass, "%s", none).by(g.offers.Looked.Event)
}

// retracted finds the installed live patch of the running kernel among what the vendor took back.
func (g *grounds) retracted() (f finding, ok bool) {
	if g.seen == nil {
		return f, false
	}
	there := map[audit.Brought]string{}
	for _, p := range g.seen.Installed {
		there[audit.Brought{Name: p.Name, Version: p.Version}] = "Installed"
	}
	if lp := g.seen.LivePatch; lp != nil && lp.Package != nil && lp.Version != nil {
		there[audit.Brought{Name: *lp.Package, Version: *lp.Version}] = "Active"
	}
	// Also by its module: its package may be gone, or another one installed; and while one replaces another, tasks run both.
	active := func(module string) bool {
		return slices.ContainsFunc(g.seen.Patches, func(l record.LoadedPatch) bool { return l.Enabled && l.Module == module })
	}
	for _, a := range g.offers.All() {
		for _, p := range a.Packages {
			if module := p.Module(); module != "" && active(module) {
				there[p] = "Active"
			}
			if a.Status == record.StatusRetracted && there[p] != "" && audit.IsPatchFor(p.Name, g.running) {
				return found(Fail, "%s is %s %s, whose advisory %s the vendor took back.", there[p], say.Printable(p.Name), p.Version, say.Printable(a.ID)).by(g.seen.Event, a.Event).
					toDo("install the newest live patch with `zypper patch`, and see what SUSE says of %s", say.Printable(a.ID)), true
			}
		}
	}
	return f, false
}

// metadata checks that the repositories that offer kernels and live patches were refreshed lately, and that what they
// offer is not frozen. fail: refreshed longer ago; warn: their newest advisory is older.
func metadata(g *grounds, c Criteria) finding {
	looked := g.offers.Looked
	if looked == nil {
		return found(NotDetermined, "Nobody has looked at the repositories' metadata.")
	}
	var bad, frozen []string
	offering, old := 0, 0
	for _, r := range g.offers.Repositories() {
		name := say.Printable(r.Alias)
		switch {
		case r.Refreshed == nil:
			bad = append(bad, name+" was never refreshed")
		case r.Problem != "":
			bad = append(bad, name+" cannot be read")
		case c.Fail > 0 && g.at.Sub(r.Refreshed.Time) > time.Duration(c.Fail):
			bad = append(bad, name+" was refreshed last on "+r.Refreshed.ShortDay())
			if looked.Time.Sub(r.Refreshed.Time) <= time.Duration(c.Fail) {
				old++ // when it was looked at: it may have been refreshed since
			}
		}
		if r.Refreshed != nil {
			offering++
		}
		if day, err := time.Parse(time.DateOnly, r.Newest); err == nil && c.Warn > 0 && g.at.Sub(day) > time.Duration(c.Warn) {
			frozen = append(frozen, name+", whose newest advisory is of "+r.Newest)
		}
	}
	var f finding
	switch {
	case len(bad) > 0:
		f = listing(Fail, bad, "%s.")
		f.hangs = old == len(bad) && g.stale() != ""
	case offering == 0 && g.livePatching():
		f = found(Fail, "No enabled repository offers kernels or live patches, though a product for live patching is installed.")
	case offering == 0:
		f = found(NotApplicable, "No enabled repository offers kernels or live patches.")
	case len(g.offers.Off()) > 0:
		f = found(Warn, "Not enabled, or gone, though it had advisories for this machine: %s.", say.Printable(strings.Join(g.offers.Off(), ", ")))
	case len(frozen) > 0:
		f = listing(Warn, frozen, "Refreshed, but perhaps frozen: %s.")
	default:
		f = found(Pass, "All repositories that offer kernels or live patches were refreshed in time (%d).", offering)
	}
	return f.by(looked.Event)
}

// livePatching says whether the machine has a product for live patching.
func (g *grounds) livePatching() bool {
	if g.seen == nil {
		return false
	}
	e, known, err := record.ReadPart[record.Entitlement](g.seen.Observation)
	return known && err == nil && (len(e.Included) > 0 || slices.ContainsFunc(e.Products, func(p record.Product) bool { return strings.Contains(p.Name, "live-patching") }))
}
