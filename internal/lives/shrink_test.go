package lives

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// falsehoods are the kinds of false statements in an answer, each with what was said.
func (l *life) falsehoods(a answer) map[string]string {
	if a.err != nil {
		kind, _, _ := strings.Cut(a.err.Error(), ":")
		return map[string]string{kind: a.err.Error()}
	}
	if a.variant != "" {
		if a.differs == "" {
			return nil
		}
		return map[string]string{a.variant + " differs on " + a.differs: fmt.Sprintf("%s at %s, horizon %s", a.how, a.answers.at.Format(time.RFC3339Nano), a.horizon.Format(time.RFC3339))}
	}
	found := map[string]string{}
	for _, c := range a.all() {
		if !l.right(a.answers.at, c.true) {
			found[c.kind()+l.clocks()] = fmt.Sprintf("%s says %q %v at %s\n    true: %s", c.kind(), c.says, c.times, a.answers.at.Format(time.RFC3339Nano), l.truth(a.answers.at))
		}
	}
	if part, what, ok := strings.Cut(a.disagreement(), ":"); ok {
		found["sections disagree on "+part+l.clocks()] = what + " at " + a.answers.at.Format(time.RFC3339Nano)
	}
	return found
}

// clocks says of a life that its clock was wrong at a time.
func (l *life) clocks() string {
	if l.sound() {
		return ""
	}
	return ", clock"
}

// try says whether fewer events still show a false statement of a kind, and which.
func (l *life) try(t *testing.T, evs []*record.Event, q question, kind string) (what string, still bool) {
	if len(evs) == 0 {
		return "", false
	}
	synctest.Test(t, func(t *testing.T) {
		what, still = l.falsehoods(l.examine(t, evs, []question{q})[0])[kind]
	})
	return what, still
}

// shrink finds few events that still show a false statement: it leaves out halves, then
// quarters, at last single ones.
func (l *life) shrink(t *testing.T, evs []*record.Event, q question, kind string) ([]*record.Event, string) {
	what, _ := l.try(t, evs, q, kind)
	for size := (len(evs) + 1) / 2; size > 0; {
		shrunk := false
		for at := 0; at < len(evs); {
			fewer := slices.DeleteFunc(slices.Clone(evs), func(ev *record.Event) bool {
				return slices.Contains(evs[at:min(at+size, len(evs))], ev) && !l.released(kind, ev)
			})
			if len(fewer) == len(evs) {
				at += size
			} else if says, still := l.try(t, fewer, q, kind); still {
				evs, what, shrunk = fewer, says, true
			} else {
				at += size
			}
		}
		if size == 1 && !shrunk {
			break
		}
		size = max(1, size/2)
		if !shrunk && size == 1 && len(evs) < 2 {
			break
		}
	}
	return evs, what
}

// released says whether an event has something of what the vendor released, and a kind of false statements is about that:
// each builds on those before.
func (l *life) released(kind string, ev *record.Event) bool {
	about := strings.Contains(kind, "open/") || slices.ContainsFunc([]string{"updates", "residual", "metadata"}, func(id string) bool { return strings.Contains(kind, "check/"+id) })
	return about && (ev.Release != nil || slices.ContainsFunc(l.looks, func(k look) bool { return k.event == ev.ID }))
}

// tell is an event in a few words.
func tell(ev *record.Event) string {
	text := ev.Time.Format("02 15:04:05") + " " + string(ev.Kind) + " boot " + shortID(ev.BootID) + fmt.Sprintf(" at %s", time.Duration(ev.BoottimeUS)*time.Microsecond/time.Second*time.Second)
	if ev.Spooled != "" {
		text += " (late)"
	}
	switch {
	case ev.Observation != nil:
		return text + ": " + tellObservation(ev.Observation)
	case ev.Begin != nil:
		text += ": " + tellPackages(ev.Begin.Installed) + " will " + tellChanges(ev.Begin.Announced)
		if ev.Begin.Staging != nil {
			text += " staged in " + ev.Begin.Staging.Snapshot
		}
	case ev.End != nil:
		return text + ": " + string(ev.End.Outcome) + " " + tellChanges(ev.End.Changes)
	case ev.Drift != nil:
		return text + ": since " + ev.Drift.Since.Format("02 15:04:05") + " " + string(ev.Drift.Cause) + " " + tellChanges(ev.Drift.Changes)
	case ev.Release != nil:
		return text + ": " + tellRelease(ev.Release)
	case ev.Import != nil:
		return text + ": at " + ev.Import.Time.Format("02 15:04:05") + " " + tellChanges([]record.Change{ev.Import.Changes[0].Change})
	}
	return text
}

func shortID(id string) string { return strings.TrimLeft(id, "0") }

func tellObservation(o *record.Observation) string {
	text := string(o.Trigger) + ", kernel " + o.Kernel.Release + ", "
	switch {
	case o.Patches == nil:
		text += "patches unreadable"
	case o.LivePatch == nil:
		text += "no patch"
	default:
		lp := o.LivePatch
		text += lp.Module
		if lp.Transition {
			text += " in transition"
		}
		if lp.Version != nil {
			text += " of " + *lp.Version
		}
		if lp.Since != nil {
			text += " since " + lp.Since.Format("02 15:04:05")
		}
	}
	text += fmt.Sprintf("; initrd %s %s%s", o.Initrd.Verdict, o.Initrd.Basis, o.Initrd.Reason)
	if o.NextBoot != nil {
		text += "; next " + o.NextBoot.KernelRelease
	}
	text += "; " + o.Subvolume + " " + tellPackages(o.Installed)
	if repos, known, _ := record.ReadPart[record.Repositories](o); known {
		for _, r := range repos {
			text += fmt.Sprintf("; repo %s %v %v %s %s", r.Alias, r.Offers, r.Refreshed, r.Newest, r.Problem)
		}
	}
	for _, b := range o.Boots {
		text += "\n      " + tellBoot(b)
	}
	return text
}

func tellRelease(r *record.Release) (text string) {
	for _, a := range r.Advisories {
		text += fmt.Sprintf(" %s %s %s of %s %v %v;", a.Repo, a.ID, a.Status, a.Issued.Format("02 15:04:05"), r.Lists[a.Packages].Add, r.Lists[a.CVEs].Add)
	}
	for _, key := range r.Withdrawn {
		text += " withdrawn " + key.Repo + " " + key.ID + ";"
	}
	for _, k := range r.Kernels {
		text += " " + k.Package
	}
	return text
}

func tellBoot(b record.Boot) string {
	text := fmt.Sprintf("journal of boot %s %s %s to %s", shortID(b.ID), b.KernelRelease, b.First.Format("02 15:04:05"), b.Last.Format("02 15:04:05"))
	for name, is := range map[string]bool{" without its start": !b.StartInJournal, " incomplete": b.Incomplete, " messages lost": b.MessagesLost} {
		if is {
			text += name
		}
	}
	for _, l := range b.Loads {
		text += fmt.Sprintf("; load %s %s %s %s", l.Patch, l.Time.Format("02 15:04:05"), l.Phase, l.Result)
		if l.Disabled != nil {
			text += " disabled " + l.Disabled.Format("02 15:04:05")
		}
	}
	for _, x := range b.Builds {
		text += fmt.Sprintf("; build %s %v success %v", x.Time.Format("02 15:04:05"), x.Modules, x.Success)
	}
	return text
}

func tellPackages(pkgs []record.Package) string {
	if pkgs == nil {
		return "packages unreadable"
	}
	return "[" + strings.NewReplacer("kernel-livepatch-", "lp-", "kernel-default-", "k-").Replace(identity(pkgs)) + "]"
}

func tellChanges(changes []record.Change) string {
	var parts []string
	for _, c := range changes {
		parts = append(parts, strings.TrimSpace(string(c.Action)+" "+c.Package+" "+c.Previous+" -> "+c.Version))
	}
	return strings.Join(parts, ", ")
}

var names = strings.NewReplacer(
	"kernel-livepatch-6_4_0-150600_23_42-default", "lp-K1", "kernel-livepatch-6_4_0-150600_23_47-default", "lp-K2", "kernel-livepatch-6_4_0-150600_23_50-default", "lp-P", "kernel-livepatch-6_4_0-150600_23_53-default", "lp-K3",
	"lp-6_4_0-150600_23_42-default", "lp-K1", "lp-6_4_0-150600_23_47-default", "lp-K2", "lp-6_4_0-150600_23_53-default", "lp-K3",
	"6.4.0-150600.23.42-default", "K1", "6.4.0-150600.23.47-default", "K2", "6.4.0-150600.23.50-default", "P", "6.4.0-150600.23.53-default", "K3",
	"kernel-default-6.4.0-150600.23.42.2", "k-K1", "kernel-default-6.4.0-150600.23.47.2", "k-K2", "kernel-default-6.4.0-150600.23.50.1", "k-P", "kernel-default-6.4.0-150600.23.53.1", "k-K3",
	"k-6.4.0-150600.23.42.2", "k-K1", "k-6.4.0-150600.23.47.2", "k-K2", "k-6.4.0-150600.23.50.1", "k-P", "k-6.4.0-150600.23.53.1", "k-K3",
)

var modules = regexp.MustCompile(`livepatch_(\d+)_150600_13_\d+_1`)
var versions = regexp.MustCompile(`(\d+)-150600\.13\.\d+\.1`)

// brief is a text with short names: K1 to K3 are kernels, p1, p2, … modules, v1, v2, … versions of packages.
func brief(text string) string {
	return versions.ReplaceAllString(modules.ReplaceAllString(names.Replace(text), "p$1"), "v$1")
}
