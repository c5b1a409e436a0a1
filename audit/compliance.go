package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// ComplianceSchema names the form of a compliance summary in JSON.
const ComplianceSchema = "klp-audit/compliance/1"

// Rating is what a check came to.
type Rating string

// The ratings. In order of weight: fail, unknown, warn, pass; what is not applicable has none.
const (
	Pass          Rating = "pass"
	Warn          Rating = "warn"
	Fail          Rating = "fail"
	NotDetermined Rating = "unknown" // never passes
	NotApplicable Rating = "not-applicable"
)

// Ratings returns the closed set of ratings, the weightiest first.
func Ratings() []Rating { return []Rating{Fail, NotDetermined, Warn, Pass, NotApplicable} }

// Compliance is a record judged by a profile.
type Compliance struct {
	Profile string           `json:"profile"`
	Verdict Rating           `json:"verdict"` // the worst of the checks
	Checks  []CheckResult    `json:"checks"`  // the weightiest first
	At      record.Timestamp `json:"at"`
	Since   record.Timestamp `json:"since"` // of what looks back

	Title   string          `json:"-"` // of the profile
	Record  *record.Summary `json:"-"` // that was judged
	Warning string          `json:"-"` // of what was judged; empty: nothing is known to be wrong with it
	// Observed is when the machine was observed last; the moment judged if that is too long ago.
	Observed record.Timestamp `json:"-"`

	CoverageLeft *int `json:"-"` // days; nil: not known
}

// CheckResult is what one check came to.
type CheckResult struct {
	ID         string   `json:"id"`
	Title      string   `json:"title"`
	Result     Rating   `json:"result"`
	Detail     string   `json:"detail"`   // one sentence
	Evidence   []string `json:"evidence"` // "event 12", journal cursors
	References []string `json:"references"`
	// NoImageOf is the kernel that has no initrd at all; empty: none is known to have none.
	NoImageOf string `json:"-"`
	// KnownSince is when the last of the events among the evidence was recorded; null: not known, or none.
	KnownSince *record.Timestamp `json:"known_since"`
	// Exception is what was granted for this check, expired ones included; it changes
	// nothing in the result.
	Exception *Exception `json:"exception"`
}

// Exception says that somebody accepts a finding for a while.
type Exception struct {
	ID      string           `json:"id"`
	Check   string           `json:"check"`
	Reason  string           `json:"reason"`
	Until   record.Timestamp `json:"until"`
	By      string           `json:"by"`
	Event   int64            `json:"event"`
	Expired bool             `json:"expired"`
}

// finding is what a check says.
type finding struct {
	rating   Rating
	detail   string
	evidence []string
}

func found(r Rating, format string, args ...any) finding {
	return finding{rating: r, detail: fmt.Sprintf(format, args...)}
}

// by adds the events that say so.
func (f finding) by(events ...int64) finding {
	for _, n := range events {
		f.evidence = append(f.evidence, "event "+strconv.FormatInt(n, 10))
	}
	return f
}

// Rule is a check: what it asks, and what to do when the answer is no.
type Rule struct {
	ID, Title, hint string
	settings        []string // that its criteria have beside enabled, severity and references
	state           bool     // it judges the newest observation
	judge           func(*grounds, Criteria) finding
}

// IntegrityID is the check that fails wherever a record is not intact, asked for or not.
const IntegrityID = "integrity"

// Rules are all checks, in the order in which they are explained.
func Rules() []Rule {
	return []Rule{
		{"kernel-supported", "Running kernel is supported", "reboot into the newest kernel, or install its newest live patch", nil, true, kernelSupported},
		{"patch-state", "Live patch is in order", "see `klp status` and `klp blocking`; reboot if a transition does not end", []string{"warn", "fail"}, true, patchState},
		{"patch-loaded", "Installed live patch is active", "load it with `klp` or reboot; see the journal for why it was not loaded", []string{"warn"}, true, patchLoaded},
		{"patch-in-initrd", "Initrd holds the live patch", "build the initrd anew with `dracut -f`; see `klp-audit initrd --explain`", nil, true, patchInInitrd},
		{"next-boot", "Next boot runs the right kernel", "set the default boot entry to the newest kernel", nil, true, nextBoot},
		{"coverage", "Kernel still gets live patches", "update the kernel and reboot before the coverage ends", []string{"warn", "fail"}, true, coverage},
		{"latency", "Fixes were active in time", "install live patches sooner; see `klp-audit report cve`", []string{"warn", "fail", "severities"}, false, latency},
		{"reboot-lag", "No reboot is overdue", "reboot into the newest kernel", []string{"warn", "fail"}, true, rebootLag},
		{"failed-commits", "No failed change is left", "install the packages again; see `klp-audit report history --result failed`", []string{"warn"}, false, failedCommits},
		{"downgrades", "Nothing was downgraded", "see `klp-audit report history --action downgrade`; reboot a machine whose kernel complained", nil, false, downgrades},
		{"signatures", "Packages are signed and checked", "set gpgcheck = 1 in zypp.conf and its repositories", []string{"keys"}, true, signatures},
		{"attribution", "Every change has an author", "log in as yourself and use sudo, so that pam_loginuid notes it", nil, false, attribution},
		{"clock", "Clock is in step", "see `chronyc tracking` or `timedatectl`", []string{"warn"}, true, clock},
		{"completeness", "Record holds every change", "find out who changed packages without zypper or without the plugin; see the recorder gaps; `klp-audit import` takes in what only libzypp's history has", nil, false, completeness},
		{IntegrityID, "Record is intact", "run `klp-audit verify`; enable klp-audit-observe.timer", []string{"warn", "fail"}, false, integrity},
		{"retention", "Record reaches back far enough", "restore older events from an export", []string{"fail"}, false, retention},
		{"permissions", "Record is protected", "run `rpm --setperms --setugids klp-audit`, and see who may write", nil, true, permissions},
		{"recorder", "Recorder is alive", "reinstall klp-audit; enable klp-audit-observe.timer", nil, false, recorder},
		{"entitlement", "System is set up for live patches", "activate the live patching module with SUSEConnect, and install its pattern and lifecycle data", nil, true, entitlement},
		{"exceptions", "No exception ran out", "mend the finding, or renew the exception; then `klp-audit exception end ID`", []string{"warn"}, false, exceptions},
		{"taint", "Kernel is not tainted", "find out which module or warning tainted it; only a reboot clears it", []string{"allowed"}, true, taint},
		{"journal", "Journal is kept", "set Storage=persistent in journald.conf", nil, true, journalKept},
	}
}

// RuleOf returns the rule of a check, and whether there is one.
func RuleOf(id string) (Rule, bool) {
	all := Rules()
	if i := slices.IndexFunc(all, func(r Rule) bool { return r.ID == id }); i >= 0 {
		return all[i], true
	}
	return Rule{}, false
}

// CheckIDs returns the ids of all checks, in the order in which they are explained.
func CheckIDs() (ids []string) {
	for _, r := range Rules() {
		ids = append(ids, r.ID)
	}
	return ids
}

// Hint says what to do when a check does not pass.
func Hint(id string) string {
	r, _ := RuleOf(id)
	return r.hint
}

// Hint says what to do when the check does not pass. A kernel that has no initrd does not boot:
// that is mended before anything that may be a reboot.
func (r *CheckResult) Hint() string {
	hint := Hint(r.ID)
	switch {
	case r.NoImageOf == "":
		return hint
	case r.ID == "patch-in-initrd", r.ID == "next-boot":
		return BuildHint(r.NoImageOf) + " before any reboot"
	case strings.Contains(hint, "reboot"):
		return "first " + BuildHint(r.NoImageOf) + ", for without one kernel " + r.NoImageOf + " does not boot; then " + hint
	}
	return hint
}

// BuildHint says how a kernel gets an initrd.
func BuildHint(kernel string) string {
	return fmt.Sprintf("build its initrd with `dracut -f --kver %s`", say.Printable(kernel))
}

// NewCompliance judges the record by a profile, as of a moment. It ignores what happened after that
// moment, and uses what was recorded later of what happened before.
func NewCompliance(ctx context.Context, s Reader, p *Profile, at time.Time) (*Compliance, error) {
	g, err := readGrounds(ctx, s, p, at)
	if err != nil {
		return nil, fmt.Errorf("reading what the checks look at: %w", err)
	}
	c := g.compliance()
	for i := range c.Checks {
		if c.Checks[i].KnownSince, err = s.RecordedAt(ctx, c.Checks[i].events()...); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// events are those among the evidence.
func (r *CheckResult) events() (list []int64) {
	for _, text := range r.Evidence {
		number, _ := strings.CutPrefix(text, "event ")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			list = append(list, n)
		}
	}
	return list
}

// compliance runs all checks.
func (g *grounds) compliance() *Compliance {
	c := &Compliance{Profile: g.profile.Name, Title: g.profile.Title, Record: g.summary, At: record.At(g.at), Since: record.At(g.since)}
	if c.Observed = c.At; g.stale() == "" {
		c.Observed = g.seen.at
		if end, ok := g.coverageEnd(); ok {
			c.CoverageLeft = new(g.daysUntil(end))
		}
	}
	for _, r := range Rules() {
		criteria := g.profile.Criteria[r.ID]
		f := g.run(r, criteria)
		c.Checks = append(c.Checks, CheckResult{
			ID: r.ID, Title: r.Title, Result: f.rating, Detail: f.detail, Evidence: OrNone(f.evidence),
			References: OrNone(criteria.References), Exception: g.exceptionFor(r.ID), NoImageOf: g.noImageOf(),
		})
	}
	slices.SortStableFunc(c.Checks, func(a, b CheckResult) int { return cmp.Compare(a.Result.weight(), b.Result.weight()) })
	c.Verdict = c.Worst()
	return c
}

// noImageOf is the kernel that has no initrd at all, empty if none is known to have none.
func (g *grounds) noImageOf() string {
	if g.stale() != "" || g.seen.Initrd.Reason != record.ReasonNoImage {
		return ""
	}
	return g.seen.Initrd.KernelRelease
}

// run runs one check within its criteria.
func (g *grounds) run(r Rule, c Criteria) finding {
	if !c.Enabled {
		return found(NotApplicable, "The profile leaves it out.")
	}
	if r.state {
		if problem := g.stale(); problem != "" {
			return found(NotDetermined, "%s", problem)
		}
	}
	f := r.judge(g, c)
	if f.rating == Fail && c.Severity == Warn {
		f.rating = Warn
	}
	if r.state {
		f = f.by(g.seen.event)
	}
	f.evidence = unique(f.evidence)
	return f
}

// Only returns the results of some checks alone; with except those of all others. That the
// record is not intact stays among them.
func (c *Compliance) Only(ids []string, except bool) *Compliance {
	few := *c
	few.Checks = slices.DeleteFunc(slices.Clone(c.Checks), func(r CheckResult) bool {
		return slices.Contains(ids, r.ID) == except && !(c.Warning != "" && r.ID == IntegrityID)
	})
	few.Verdict = few.Worst()
	return &few
}

// Worst is the verdict. Where nothing could be judged there is none that passes.
func (c *Compliance) Worst() Rating {
	verdict := NotApplicable
	for _, r := range c.Checks {
		if r.Result.weight() < verdict.weight() {
			verdict = r.Result
		}
	}
	if verdict == NotApplicable {
		return NotDetermined
	}
	return verdict
}

// weight orders the ratings, the weightiest first.
func (r Rating) weight() int { return slices.Index(Ratings(), r) }

// OrNone returns a list that is not null in JSON.
func OrNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func unique(list []string) (once []string) {
	for _, s := range list {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}

// Sum counts the checks by their results, "2 fail, 1 warn, 19 pass".
func (c *Compliance) Sum() string {
	var parts []string
	for _, r := range Ratings() {
		n := 0
		for _, check := range c.Checks {
			if check.Result == r {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, r))
		}
	}
	return strings.Join(parts, ", ")
}

// Distrust makes integrity fail, and with it the verdict, whatever a profile says of it, if
// what was judged is not intact.
func (c *Compliance) Distrust(in *Input) {
	if c.Warning = in.Warning(); c.Warning == "" {
		return
	}
	i := slices.IndexFunc(c.Checks, func(r CheckResult) bool { return r.ID == IntegrityID })
	if i < 0 {
		return
	}
	r := c.Checks[i]
	r.Result, r.Detail, r.Evidence = Fail, in.finding(), []string{}
	c.Checks = slices.Insert(slices.Delete(c.Checks, i, i+1), 0, r)
	c.Verdict = c.Worst()
}

// ExceptionAt returns an exception on record as it is at a moment.
func ExceptionAt(x record.Exception, at time.Time) Exception {
	return Exception{ID: x.ID, Check: x.Check, Reason: x.Reason, Until: x.Until, By: x.By.Name(), Event: x.Event, Expired: !at.Before(x.Until.Time)}
}
