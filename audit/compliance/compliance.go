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
	// ObservedAt is when the machine was observed last, up to the moment judged; null: never.
	ObservedAt *record.Timestamp `json:"observed_at"`

	CoverageLeft *int `json:"-"` // days; nil: not known
}

// CheckResult is what one check came to.
type CheckResult struct {
	ID     string `json:"id"`
	Title  string `json:"title"`
	Result Rating `json:"result"`
	Detail string `json:"detail"` // one sentence
	Brief  string `json:"-"`      // the same for people, where the detail has a long list; else empty
	// ToDo is what to do about the result; null: nothing.
	ToDo *string `json:"to_do"`
	// HangsOn is the check whose finding this one hangs on: once that is mended, this one can be judged; null: none.
	HangsOn    *string  `json:"hangs_on"`
	Evidence   []string `json:"evidence"` // "event 12", journal cursors
	References []string `json:"references"`
	// KnownSince is when the last of the events among the evidence was recorded; null: not known, or none.
	KnownSince *record.Timestamp `json:"known_since"`
	// Exception is what was granted for this check, expired ones included; it changes
	// nothing in the result.
	Exception *audit.Exception `json:"exception"`
	// Accepted are the exceptions for numbers that the check leaves out of its result.
	Accepted []audit.Exception `json:"accepted"`
}

// Short is the detail with no more than the first few of what it lists.
func (r *CheckResult) Short() string { return cmp.Or(r.Brief, r.Detail) }

// Finding is what people are shown of a check: its result, and those that hang on it.
type Finding struct {
	CheckResult
	Folded []CheckResult
}

// Findings are the checks with those folded that hang on another one. Where that is not among them, they are folded
// beneath the first of themselves.
func (c *Summary) Findings() (list []Finding) {
	at := map[string]int{} // of the checks that others hang on
	for _, r := range c.Checks {
		on := cmp.Or(record.OrEmpty(r.HangsOn), r.ID)
		i, there := at[on]
		switch {
		case !there:
			at[on], list = len(list), append(list, Finding{CheckResult: r})
		case r.HangsOn == nil: // those that hang on it came first
			list[i].CheckResult, list[i].Folded = r, append([]CheckResult{list[i].CheckResult}, list[i].Folded...)
		default:
			list[i].Folded = append(list[i].Folded, r)
		}
	}
	return list
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
	if g.seen != nil {
		c.ObservedAt = &g.seen.At
	}
	if c.Observed = c.At; g.stale() == "" {
		c.Observed = g.seen.At
		if end, ok := g.coverageEnd(); ok {
			c.CoverageLeft = new(g.daysUntil(end))
		}
	}
	for _, r := range Rules() {
		criteria := g.profile.Criteria[r.ID]
		f := g.run(r, criteria)
		result := CheckResult{
			ID: r.ID, Title: r.Title, Result: f.rating, Detail: f.detail, Brief: f.brief, ToDo: record.OrNil(f.todo), Evidence: OrNone(f.evidence),
			References: OrNone(criteria.References), Exception: audit.LongestFor(r.ID, g.exceptions), Accepted: append([]audit.Exception{}, f.acceptedBy...),
		}
		if f.hangs {
			result.HangsOn = new(recorderID)
		}
		c.Checks = append(c.Checks, result)
	}
	g.sort(c.Checks)
	c.Verdict = c.Worst()
	return c
}

// sort puts the weightiest first, and what others hang on before its like.
func (g *grounds) sort(checks []CheckResult) {
	others := func(r CheckResult) int {
		if r.ID == recorderID && g.stale() != "" {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(checks, func(a, b CheckResult) int {
		return cmp.Or(cmp.Compare(a.Result.weight(), b.Result.weight()), cmp.Compare(others(a), others(b)))
	})
}

// run runs one check within its criteria.
func (g *grounds) run(r Rule, c Criteria) finding {
	if !c.Enabled {
		return found(NotApplicable, "The profile leaves it out.")
	}
	if r.state && g.stale() != "" {
		f := g.outdated()
		f.todo = g.observe()
		return f
	}
	f := r.judge(g, c)
	if f.rating == NotDetermined && r.anew && g.stale() != "" {
		f.hangs = true
	}
	f.todo = g.toDo(r, f) // by what it came to, however much the profile makes of that
	if f.rating == Fail && c.Severity == Warn {
		f.rating = Warn
	}
	if r.state {
		f = f.by(g.seen.Event)
	}
	f.evidence = unique(f.evidence)
	return f
}

// outdated is what a check of the machine's state comes to where that is not known.
func (g *grounds) outdated() finding {
	f := found(NotDetermined, "%s", g.stale())
	f.hangs = true
	return f
}

// observe says how the state of the machine becomes known.
func (g *grounds) observe() string {
	if g.seen == nil {
		return observeFirst
	}
	return observeAgain
}

// toDo says what to do about a finding. A kernel that has no initrd does not boot: if it boots next, that is mended before
// anything that may be a reboot.
func (g *grounds) toDo(r Rule, f finding) string {
	todo := cmp.Or(f.todo, r.mend.of(f.rating))
	if f.hangs {
		todo = g.observe()
	}
	kernel := g.noImageOf()
	if f.rating == Pass || f.rating == NotApplicable {
		return ""
	}
	if kernel != "" && g.bootsNext(kernel) != no && strings.Contains(todo, "reboot") && !strings.Contains(todo, "dracut") {
		return "first " + BuildHint(kernel) + ", for without one kernel " + kernel + " does not boot; then " + todo
	}
	return todo
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
	r.Result, r.Detail, r.Brief, r.ToDo, r.HangsOn, r.Evidence = Fail, in.Fault(), "", new(ToDo(IntegrityID, Fail)), nil, []string{}
	c.Checks = slices.Insert(slices.Delete(c.Checks, i, i+1), 0, r)
	c.Verdict = c.Worst()
}
