package compliance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

// failedCommits checks that every failed change was later repaired.
func failedCommits(g *grounds, c Criteria) finding {
	var failed, unclear []string
	f := finding{}
	for _, row := range g.failed {
		text := string(row.Action) + " of " + row.Named() + " at " + row.Time.Short()
		if s := row.FailedScripts(); s != "" {
			text += ", " + s
		}
		if row.Result == record.ResultUnknown {
			unclear = append(unclear, text)
		} else {
			failed = append(failed, text)
		}
		f = f.by(row.Event)
	}
	for _, o := range g.open {
		if c.longer(g.at.Sub(o.Time.Time)) != Pass {
			failed = append(failed, "the commit that began at "+o.Time.Short()+" has no end")
			f = f.by(o.Event)
		}
	}
	switch {
	case failed != nil && len(failed) <= len(g.open) && len(g.failed) == 0:
		f = f.saying(listing(Fail, failed, "%s not made good: %s.", say.Plural(len(failed), "failure"))).
			toDo("see /var/log/zypp/history for what became of it, and repeat what was not done")
	case failed != nil:
		f = f.saying(listing(Fail, failed, "%s not made good: %s.", say.Plural(len(failed), "failure")))
	case unclear != nil:
		f = f.saying(listing(NotDetermined, unclear, "What became of %s is not known: %s.", say.Plural(len(unclear), "change")))
	case len(g.open) > 0:
		f = found(Warn, "A commit is going on.").by(g.open[0].Event)
	default:
		f.rating, f.detail = Pass, "No failed change is left since "+record.At(g.since).Short()+"."
	}
	return f
}

// downgrades checks that no protection was taken back.
func downgrades(g *grounds, _ Criteria) finding {
	if len(g.lowered) == 0 {
		return found(Pass, "Nothing was downgraded since %s.", record.At(g.since).Short())
	}
	var list []string
	f := found(Fail, "")
	for _, l := range g.lowered {
		list = append(list, l.String())
		f = f.by(l.Event)
		if l.warnings != nil {
			f = f.by(l.warnings.Event)
		}
		if l.taint != nil {
			f = f.by(l.taint.Event)
		}
	}
	return f.saying(listing(Fail, list, "%s: %s.", say.Plural(len(list), "downgrade")))
}

// String says what was downgraded, by whom, and what the kernel had said before.
func (l lowered) String() string {
	what := l.Package + " from " + record.OrEmpty(l.Previous) + " to " + l.Version
	if l.Action == record.ActionRemove {
		what = l.Package + " " + l.Version + " removed"
	}
	what += " at " + l.Time.Short() + " by " + l.Actor.Name()
	if source := l.HistoryRow.FoundLater(); source != "" {
		what += " (" + source + ")"
	}
	if l.warnings == nil && l.taint == nil {
		return what
	}
	if w, known := valueOf(l.warnings); known {
		what += ", after " + say.Plural(w.Count, "kernel warning")
	} else {
		what += ", kernel warnings not on record"
	}
	if t, known := valueOf(l.taint); known {
		what += fmt.Sprintf(", taint value %d", t.Value)
	}
	return what
}

// valueOf is what a part says; it is not known where there is none, or none that can be read.
func valueOf[T record.PartType](p *record.Part[T]) (v T, known bool) {
	if p == nil {
		return v, false
	}
	v, err := p.Value()
	return v, err == nil
}

// attribution is that somebody or something is named for each commit.
func attribution(g *grounds, _ Criteria) finding {
	a := g.attribution
	switch {
	case a.Commits == 0:
		return found(NotApplicable, "No commit is on record since %s.", record.At(g.since).Short())
	case a.Unknown > 0:
		return found(Fail, "The author of %d of %s is unknown.", a.Unknown, say.Plural(int(a.Commits), "commit")).by(a.Events...)
	}
	return found(Pass, "All %s name a person or an automation.", say.Plural(int(a.Commits), "commit"))
}

// completeness checks that commits on record explain what is installed, that libzypp's history shows
// nothing else, and that no time went by unrecorded.
func completeness(g *grounds, _ Criteria) finding {
	if len(g.recorders) == 0 {
		return found(NotDetermined, "Nothing is on record.")
	}
	bypassed, unclear := g.unrecorded()
	f, known := g.incomplete(bypassed)
	if f.detail != "" {
		return f
	}
	if g.stale() != "" {
		return g.outdated()
	}
	if !known {
		return found(NotDetermined, "There is nothing on record to compare the %s installed packages with.", count(g.seen.Installed)).by(g.seen.Event)
	}
	if unclear != "" {
		return found(NotDetermined, "%s", unclear).by(g.seen.Event)
	}
	return found(Pass, "All %s that the observation shows are those of the %s before it, libzypp's history showed no other change at %s, and there is no gap.",
		say.Plural(len(g.seen.Installed), "package"), g.base.what, g.compared.Time.Short()).by(g.base.event, g.seen.Event, g.compared.Event)
}

// incomplete returns what the record lacks, without a detail if nothing is found; known is false if the
// installed packages do not show that.
func (g *grounds) incomplete(bypassed []string) (f finding, known bool) {
	f = found(Fail, "")
	var odd []string
	for _, gap := range g.holes() {
		odd = append(odd, "gap from "+gap.From.Short()+" to "+gap.To.Short()+" ("+strings.TrimSuffix(gap.Why, ".")+")")
		f = f.by(gap.Events...)
	}
	for _, row := range g.drift {
		odd = append(odd, string(row.Action)+" of "+row.Package+" "+row.Version+" without a commit")
		f = f.by(row.Event)
	}
	differ, known := g.difference()
	if odd = append(odd, differ...); len(differ) > 0 {
		f = f.by(g.base.event, g.seen.Event)
	}
	if odd = append(odd, bypassed...); len(bypassed) > 0 {
		f = f.by(g.compared.Event)
	}
	if len(odd) > 0 {
		f = f.saying(listing(Fail, odd, "%s in the record: %s.", say.Plural(len(odd), "hole")))
	}
	return f, known
}

func count(list []record.Package) string {
	if list == nil {
		return "unknown"
	}
	return fmt.Sprint(len(list))
}

// holes returns the gaps in which something may have happened that is not on record. The time before
// the recorder came is no hole, nor is a time in which the machine was off.
func (g *grounds) holes() (list []audit.Gap) {
	for _, gap := range g.gaps {
		switch gap.Kind {
		case audit.GapCommit:
			if g.at.Sub(gap.From.Time) < goingOn {
				continue
			}
		case audit.GapSilence, audit.GapBroken:
		default:
			continue
		}
		list = append(list, gap)
	}
	return list
}

// goingOn is how long a commit without an end may be going on.
const goingOn = time.Hour

// difference says how the installed kernels and live patches differ from what should be
// installed; known is false if that is not known.
func (g *grounds) difference() (differ []string, known bool) {
	if g.seen == nil || g.seen.Installed == nil || g.base == nil {
		return nil, false
	}
	is, should := map[string]bool{}, map[string]bool{}
	for _, p := range g.base.installed {
		should[p.NEVRA()] = true
	}
	for _, p := range g.seen.Installed {
		if is[p.NEVRA()] = true; !should[p.NEVRA()] {
			differ = append(differ, p.NEVRA()+" is installed, by no commit on record")
		}
	}
	for _, p := range g.base.installed {
		if isJudged(p.Name, g.seen.Installed) && !is[p.NEVRA()] {
			differ = append(differ, p.NEVRA()+" is gone, by no commit on record")
		}
	}
	return differ, true
}

// isJudged says whether observations list packages of a name: kernels and live patches.
func isJudged(name string, listed []record.Package) bool {
	return isLivePatch(name) || slices.ContainsFunc(listed, func(p record.Package) bool { return p.Name == name })
}

// integrity checks that the checkpoint is right, and that the last full verification found nothing.
func integrity(g *grounds, c Criteria) finding {
	for _, r := range g.recorders {
		switch r.Cause {
		case record.CauseProofBroken, record.CauseRecordLost:
			return found(Fail, "At %s the recorder found that the record was not the one it had signed last (%s).", r.Time.Short(), r.Cause).by(r.Event)
		case record.CauseKeyReplaced:
			return found(Fail, "At %s the machine's key was gone, and another one took over that it had not signed for: nothing vouches for what was recorded before.", r.Time.Short()).by(r.Event)
		}
	}
	checkpoint := "The newest checkpoint is right"
	cp, err := proof.ParseCheckpoint(g.summary.Checkpoint, g.summary.Key)
	switch {
	case g.summary.Events == 0:
		return found(NotDetermined, "Nothing is on record.")
	case g.summary.Part:
		checkpoint = "The checkpoint of then is not kept"
	case err != nil:
		return found(Fail, "The newest checkpoint is not right: %v.", err)
	case cp.Size != g.summary.Events:
		return found(Fail, "The newest checkpoint covers %d events, and there are %d.", cp.Size, g.summary.Events)
	}
	part := g.verified
	if part == nil {
		f := found(NotDetermined, "%s; no full verification of the last 31 days is on record.", checkpoint)
		f.hangs = g.stale() != "" // observations verify
		return f
	}
	v, err := part.Value()
	if err != nil {
		return found(NotDetermined, "The last full verification cannot be read: %v.", err).by(part.Event)
	}
	if v.Result != string(proof.Intact) {
		return listing(Fail, append(v.Problems, "see the event"), "The full verification of %s found the record %s: %s.", part.Time.Short(), v.Result).by(part.Event)
	}
	age := g.at.Sub(part.Time.Time)
	f := found(c.longer(age), "%s, and the full verification %s ago found all %d events intact", checkpoint, say.Duration(age), v.TreeSize).by(part.Event).toDo(verifyDaily)
	f.hangs = f.rating != Pass && g.stale() != "" // observations verify
	if v.Unread != "" {
		f.detail += ", but could not read all checkpoints in the journal: " + strings.TrimSuffix(v.Unread, ".")
		if f.rating == Pass {
			f.rating = Warn
		}
	} else if v.Checkpoints > 0 {
		f.detail += ", grown from " + say.Plural(v.Checkpoints, "checkpoint") + " in the journal"
	}
	f.detail += "."
	return f
}

// retention checks that the record reaches back far enough, or to the installation of its recorder.
func retention(g *grounds, c Criteria) finding {
	if g.summary.First == nil || len(g.recorders) == 0 {
		return found(NotDetermined, "Nothing is on record.")
	}
	first := g.recorders[0]
	age := g.at.Sub(g.summary.First.Time)
	switch {
	case age >= time.Duration(c.Fail):
		return found(Pass, "The record reaches back to %s, %s, and %s is asked for.", (*g.summary.First).Short(), say.Duration(age), c.Fail).by(1)
	case first.Event == 1 && first.Cause == record.CauseInstalled:
		return found(Pass, "The record reaches back to the installation of the recorder at %s, %s ago.", first.Time.Short(), say.Duration(age)).by(1)
	}
	return found(Fail, "The record reaches back to %s only, %s, and %s is asked for.", (*g.summary.First).Short(), say.Duration(age), c.Fail).by(1)
}

// exceptions checks that no exception has outlived its time.
func exceptions(g *grounds, c Criteria) finding {
	var expired, soon []string
	var late, near []int64
	n := len(g.exceptions)
	for _, x := range g.exceptions {
		text := "for " + say.Printable(x.About()) + ", until " + x.Until.Short()
		switch left := x.Until.Sub(g.at); {
		case left <= 0:
			expired, late = append(expired, text), append(late, x.Event)
		case left < time.Duration(c.Warn):
			soon, near = append(soon, text), append(near, x.Event)
		}
	}
	switch {
	case n == 0:
		return found(NotApplicable, "There is no exception.")
	case expired != nil:
		return listing(Fail, expired, "%s expired: %s.", say.Plural(len(expired), "exception")).by(late...)
	case soon != nil:
		return listing(Warn, soon, "%s of %d will expire within %s: %s.", say.Plural(len(soon), "exception"), n, c.Warn).by(near...)
	}
	return found(Pass, "None of %s has expired.", say.Plural(n, "exception"))
}
