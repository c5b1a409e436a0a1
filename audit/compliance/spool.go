package compliance

import (
	"cmp"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// maxWait is how long an event may wait in the spool.
const maxWait = 24 * time.Hour

// SeeSpool adds what the spool of the record's machine shows to the check `integrity`: events that wait
// there are not in the record. What came into the spool after the moment that is judged is ignored.
func (c *Summary) SeeSpool(s record.Spooled, p *Profile) {
	criteria := p.Criteria["integrity"]
	if !criteria.Enabled {
		return
	}
	f := c.spool(s)
	if f.rating == Fail && criteria.Severity == Warn {
		f.rating = Warn
	}
	for i := range c.Checks {
		if r := &c.Checks[i]; r.ID == "integrity" && f.detail != "" {
			r.add(f)
		}
	}
	slices.SortStableFunc(c.Checks, func(a, b CheckResult) int { return cmp.Compare(a.Result.weight(), b.Result.weight()) })
	c.Verdict = c.Worst()
}

// spool is what is found of the spool, without a detail if that is nothing.
func (c *Summary) spool(s record.Spooled) finding {
	held := ""
	if s.Holder != nil {
		held = " " + s.Holder.String() + " holds the record now."
	}
	switch {
	case s.Unseen != "":
		return found(Pass, "Whether events wait in the spool is not known: %s.%s", s.Unseen, held)
	case s.Since == nil || s.Since.After(c.At.Time):
		return finding{}
	}
	rating, wait := Pass, c.At.Sub(s.Since.Time)
	switch {
	case wait > maxWait:
		rating = Fail
	case s.Holder != nil:
		rating = Warn
	}
	text := Waiting(s.Waiting) + " in the spool, since " + (*s.Since).Short()
	if s.Reason != "" {
		text += ", because of: " + s.Reason
	}
	return found(rating, "%s.%s", text, held).toDo("where somebody holds the record, end that; then `klp-audit status` as root takes the events in")
}

// add adds a finding to a result. The weightier one decides, and comes first.
func (r *CheckResult) add(f finding) {
	if f.rating != Pass {
		r.HangsOn = nil // no observation mends that
	}
	if f.rating.weight() < r.Result.weight() {
		r.Result, r.Detail, r.ToDo = f.rating, f.detail+" "+r.Detail, &f.todo
		if r.Brief != "" {
			r.Brief = f.detail + " " + r.Brief
		}
		return
	}
	if f.rating != Pass && r.ToDo != nil {
		r.ToDo = new(f.todo + "; " + *r.ToDo)
	}
	r.Detail += " " + f.detail
	if r.Brief != "" {
		r.Brief += " " + f.detail
	}
}

// Waiting says how many events wait.
func Waiting(n int) string {
	if n == 1 {
		return "1 event waits"
	}
	return say.Plural(n, "event") + " wait"
}
