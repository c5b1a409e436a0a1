// Package compliance judges a record by a profile: it runs the checks over what follows from the record,
// and rates what they find.
package compliance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
)

// Schema names the form of a compliance summary in JSON.
const Schema = "klp-audit/compliance/1"

// Summary is a record judged by a profile: what each check came to, and the verdict.
type Summary struct {
	Profile string           `json:"profile"`
	Verdict Rating           `json:"verdict"` // the worst of the checks
	Checks  []CheckResult    `json:"checks"`  // the weightiest first
	At      record.Timestamp `json:"at"`
	Since   record.Timestamp `json:"since"` // of what looks back
	// Open is what the vendor has released, and does not protect the machine.
	Open *audit.Open `json:"open"`
	// Latency is how long fixes took that were active, or open, since then.
	Latency *audit.Latency `json:"latency"`

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
	Exception *audit.Exception `json:"exception"`
	// Accepted are the exceptions for numbers that the check leaves out of its result.
	Accepted []audit.Exception `json:"accepted"`
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

// Judge judges the record by a profile, as of a moment. It ignores what happened after that
// moment, and uses what was recorded later of what happened before.
func Judge(ctx context.Context, s audit.Reader, p *Profile, at time.Time) (*Summary, error) {
	g, err := readGrounds(ctx, s, p, at)
	if err != nil {
		return nil, fmt.Errorf("reading what the checks look at: %w", err)
	}
	c := g.judge()
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

// judge runs all checks.
func (g *grounds) judge() *Summary {
	c := &Summary{Profile: g.profile.Name, Title: g.profile.Title, Record: g.summary, At: record.At(g.at), Since: record.At(g.since)}
	c.Open, c.Latency = audit.NewOpen(g.exposures, g.running, g.offers), audit.Summarize(g.ofPeriod())
	if c.Observed = c.At; g.stale() == "" {
		c.Observed = g.seen.At
		if end, ok := g.coverageEnd(); ok {
			c.CoverageLeft = new(g.daysUntil(end))
		}
	}
	for _, r := range Rules() {
		criteria := g.profile.Criteria[r.ID]
		f := g.run(r, criteria)
		c.Checks = append(c.Checks, CheckResult{
			ID: r.ID, Title: r.Title, Result: f.rating, Detail: f.detail, Evidence: OrNone(f.evidence),
			References: OrNone(criteria.References), Exception: audit.LongestFor(r.ID, g.exceptions), Accepted: append([]audit.Exception{}, f.acceptedBy...), NoImageOf: g.noImageOf(),
		})
	}
	slices.SortStableFunc(c.Checks, func(a, b CheckResult) int { return cmp.Compare(a.Result.weight(), b.Result.weight()) })
	c.Verdict = c.Worst()
	return c
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
		f = f.by(g.seen.Event)
	}
	f.evidence = unique(f.evidence)
	return f
}

// Only returns the results of some checks alone; with except those of all others. That the
// record is not intact stays among them.
func (c *Summary) Only(ids []string, except bool) *Summary {
	few := *c
	few.Checks = slices.DeleteFunc(slices.Clone(c.Checks), func(r CheckResult) bool {
		return slices.Contains(ids, r.ID) == except && !(c.Warning != "" && r.ID == IntegrityID)
	})
	few.Verdict = few.Worst()
	return &few
}

// Worst is the verdict. Where nothing could be judged there is none that passes.
func (c *Summary) Worst() Rating {
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

// Sum counts the checks by their results, "2 fail, 1 warn, 19 pass".
func (c *Summary) Sum() string {
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
func (c *Summary) Distrust(in *audit.Input) {
	if c.Warning = in.Warning(); c.Warning == "" {
		return
	}
	i := slices.IndexFunc(c.Checks, func(r CheckResult) bool { return r.ID == IntegrityID })
	if i < 0 {
		return
	}
	r := c.Checks[i]
	r.Result, r.Detail, r.Evidence = Fail, in.Fault(), []string{}
	c.Checks = slices.Insert(slices.Delete(c.Checks, i, i+1), 0, r)
	c.Verdict = c.Worst()
}
