package compliance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// Each result that does not pass says what to do; and what is not known is no reason to reboot, or to build an initrd.
func TestEveryResultHasAToDo(t *testing.T) {
	for _, r := range Rules() {
		for _, result := range []Rating{Fail, Warn, NotDetermined} {
			if r.ID == "patch-in-initrd" && result != NotDetermined {
				continue // that depends on the kernel
			}
			todo := ToDo(r.ID, result)
			if todo == "" || strings.HasSuffix(todo, ".") {
				t.Errorf("%s, %s: %q", r.ID, result, todo)
			}
			if result == NotDetermined && (strings.Contains(todo, "reboot") || strings.Contains(todo, "dracut") || strings.Contains(todo, "zypper patch")) {
				t.Errorf("%s: it is not known whether to %s", r.ID, todo)
			}
		}
		for _, result := range []Rating{Pass, NotApplicable} {
			if todo := ToDo(r.ID, result); todo != "" {
				t.Errorf("%s, %s: %q", r.ID, result, todo)
			}
		}
	}
}

// A record that nobody adds to is one finding: all that cannot be judged for that hangs on it.
func TestAStaleRecordIsOneFinding(t *testing.T) {
	m := storetest.Healthy(t)
	m.Wait(20 * 24 * time.Hour)
	c := judged(m, profile(t, DefaultProfile))
	if first := c.Checks[0]; first.ID != recorderID || first.HangsOn != nil || *first.ToDo != observeAgain || !strings.HasPrefix(first.Detail, "The newest observation is 20 days old") {
		t.Errorf("first of all comes %+v", first)
	}
	findings := c.Findings()
	folded := findings[0].Folded
	for _, r := range Rules() {
		is := slices.ContainsFunc(folded, func(f CheckResult) bool { return f.ID == r.ID })
		got := c.of(t, r.ID)
		if is != (got.HangsOn != nil) || r.state && !is {
			t.Errorf("%s: folded %v, hangs on %v", r.ID, is, got.HangsOn)
		}
		if is && (*got.HangsOn != recorderID || *got.ToDo != observeAgain) {
			t.Errorf("%s hangs on %s: %s", r.ID, *got.HangsOn, *got.ToDo)
		}
	}
	for _, id := range []string{"metadata", "updates", "completeness"} { // the repositories may have been refreshed since
		if c.of(t, id).HangsOn == nil {
			t.Errorf("%s is a finding of its own: %+v", id, c.of(t, id))
		}
	}
	if len(findings)+len(folded) != len(c.Checks) {
		t.Errorf("%d findings, %d folded, of %d checks", len(findings), len(folded), len(c.Checks))
	}
	few := c.Only([]string{"coverage", "taint", "retention"}, false).Findings()
	if len(few) != 2 || few[0].ID != "coverage" || len(few[0].Folded) != 1 || few[0].Folded[0].ID != "taint" {
		t.Errorf("of some checks alone: %+v", few)
	}
}

// Nothing hangs on an observation that is new enough.
func TestNothingHangsOnAFreshRecord(t *testing.T) {
	m := storetest.Healthy(t)
	m.Drop("taint", "permission denied")
	c := judged(m, profile(t, DefaultProfile))
	if r := c.of(t, "taint"); r.HangsOn != nil || *r.ToDo != lookAgain || len(c.Findings()) != len(c.Checks) {
		t.Errorf("%+v", r)
	}
}

// To build an initrd helps only the kernel that boots next.
func TestOnlyTheInitrdOfTheNextBootIsBuilt(t *testing.T) {
	missing := func(m *storetest.Machine) { m.Last().Initrd.Verdict = record.VerdictMissing }
	next := func(kernel string) func(*storetest.Machine) {
		return func(m *storetest.Machine) { m.Last().NextBoot.KernelRelease = kernel }
	}
	for name, tt := range map[string]struct {
		story []func(*storetest.Machine)
		want  string
	}{
		"it boots next":          {[]func(*storetest.Machine){missing}, "build its initrd with `dracut -f --kver " + storetest.ReleaseA},
		"another one boots next": {[]func(*storetest.Machine){missing, next(storetest.ReleaseB)}, "leave the initrd of kernel " + storetest.ReleaseA + " alone, for the next boot runs " + storetest.ReleaseB},
		"that is not known":      {[]func(*storetest.Machine){missing, next("")}, "find out which kernel boots next; if that is " + storetest.ReleaseA + ", build its initrd"},
		"no image":               {[]func(*storetest.Machine){noImage}, "before any reboot"},
		"no image, another one":  {[]func(*storetest.Machine){noImage, next(storetest.ReleaseB)}, "alone"},
		"not provable": {[]func(*storetest.Machine){func(m *storetest.Machine) {
			m.Last().Initrd.Verdict, m.Last().Initrd.Reason = record.VerdictUnknown, record.ReasonNoBuild
		}}, "klp-audit initrd --explain"},
	} {
		m := storetest.Healthy(t)
		for _, story := range tt.story {
			story(m)
		}
		c := judged(m, profile(t, DefaultProfile))
		if todo := record.OrEmpty(c.of(t, "patch-in-initrd").ToDo); !strings.Contains(todo, tt.want) {
			t.Errorf("%s: %s", name, todo)
		}
		if other := strings.HasSuffix(name, "another one") || strings.HasPrefix(name, "another one"); other {
			for _, r := range c.Checks {
				if todo := record.OrEmpty(r.ToDo); strings.Contains(todo, "dracut -f") {
					t.Errorf("%s: %s: %s", name, r.ID, todo)
				}
			}
		}
	}
}

// A reboot runs what the boot loader starts, not always the newest kernel.
func TestRebootsIntoTheRightKernel(t *testing.T) {
	for next, want := range map[string]string{storetest.ReleaseB: "reboot into kernel " + storetest.ReleaseB, storetest.ReleaseA: "set the default boot entry to kernel " + storetest.ReleaseB} {
		m := storetest.Healthy(t)
		o := m.Last()
		b := storetest.KernelPackage(storetest.KernelB)
		b.InstallTime = m.Now.AddDate(-1, 0, 0).Unix()
		o.Installed, o.NextBoot.KernelRelease = append(o.Installed, b), next
		o.Reboot = &record.Reboot{Pending: record.PendingYes, NewestKernel: storetest.ReleaseB}
		c := judged(m, profile(t, DefaultProfile))
		for _, id := range []string{"kernel-supported", "reboot-lag"} {
			if r := c.of(t, id); !strings.Contains(record.OrEmpty(r.ToDo), want) {
				t.Errorf("%s is %s: %s", id, r.Result, record.OrEmpty(r.ToDo))
			}
		}
	}
}

// What a profile makes of a failure changes nothing in what to do about it.
func TestALoweredFailureIsMendedAsOne(t *testing.T) {
	m := storetest.Healthy(t)
	storetest.SetPart(m, record.Coverage{Date: "2026-01-01", File: "f", Line: 1})
	p := profile(t, DefaultProfile)
	criteria := p.Criteria["coverage"]
	criteria.Severity = Warn
	p.Criteria["coverage"] = criteria
	if r := judged(m, p).of(t, "coverage"); r.Result != Warn || *r.ToDo != ToDo("coverage", Fail) {
		t.Errorf("%s: %s", r.Result, *r.ToDo)
	}
}

// A detail is whole; what people are shown of it may be less.
func TestDetailsAreWhole(t *testing.T) {
	m := storetest.Healthy(t)
	flags := record.Taint{Value: 1}
	for bit := range 8 {
		flags.Flags = append(flags.Flags, record.TaintFlag{Bit: bit, Letter: "X", Meaning: "odd"})
	}
	storetest.SetPart(m, flags)
	r := judged(m, profile(t, DefaultProfile)).of(t, "taint")
	if !strings.HasSuffix(r.Detail, "; bit 7 X (odd).") || strings.Contains(r.Detail, "more") || !strings.HasSuffix(r.Short(), "; and 3 more.") {
		t.Errorf("%s\n%s", r.Detail, r.Short())
	}
}

// What waits in the spool is a finding of its own, however old the newest observation is.
func TestSpoolOfAStaleRecord(t *testing.T) {
	m := storetest.Healthy(t)
	m.Wait(20 * 24 * time.Hour)
	p := profile(t, DefaultProfile)
	c := judged(m, p)
	if r := c.of(t, IntegrityID); record.OrEmpty(r.HangsOn) != recorderID {
		t.Fatalf("%+v", r)
	}
	c.SeeSpool(record.Spooled{Waiting: 2, Since: new(record.At(m.Now.AddDate(0, 0, -3)))}, p)
	if r := c.of(t, IntegrityID); r.HangsOn != nil || r.Result != Fail || !strings.Contains(*r.ToDo, "`klp-audit status` as root takes the events in") {
		t.Errorf("%s, hangs on %v: %s", r.Result, r.HangsOn, *r.ToDo)
	}
}
