package report

import (
	"fmt"
	"slices"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/report/table"
)

// What the whole report says in words, whatever it is rendered as.

// keyFacts are what somebody asks first.
func keyFacts(f *Full) (out table.Facts) {
	s, at, made := f.State, f.Compliance.At.Time, f.Provenance.MadeAt.Time
	for _, fact := range briefFacts(s, at, made) {
		if fact.Name != nextBootName { // the first sheet of paper has no room for it
			out = append(out, fact)
		}
	}
	out = append(out, openFacts(f.Compliance.Open, at, made)...)
	out.Add("Record", "%s", recordText(f.Provenance, f.Integrity))
	return out
}

// openSeen says when the repositories were looked at, from which it is known what is open; empty: never.
func (f *Full) openSeen() string {
	at := f.Compliance.Open.LookedAt
	if at == nil {
		return ""
	}
	return "The repositories were looked at last " + seenText(*at, f.Compliance.At.Time, f.Provenance.MadeAt.Time) + "."
}

// state is what is known of the machine as it was observed last.
func (f *Full) state() table.Facts {
	return slices.Concat(stateFacts(f.State, f.Compliance.At.Time, f.Provenance.MadeAt.Time), inferredFact(f.State), proofFact(f.State))
}

func recordText(p *Provenance, i *Integrity) string {
	if p.FirstEvent == nil {
		return "empty"
	}
	verified := "never fully verified"
	if i.Verified != nil {
		verified = "found " + i.Result + " on " + day10(*i.Verified)
	}
	return fmt.Sprintf("%s since %s, %s", say.Plural(int(p.TreeSize), "event"), day10(*p.FirstEvent), verified)
}

// gapsBlock are the times that the record does not know, or not wholly.
func gapsBlock(f *Full) block {
	b := block{
		Note:    "In a gap packages may have been changed, or the machine rebooted, without a line in this report; what it says of such a time is inferred or unknown, never proven.",
		Caption: "Times that are not, or not wholly, on record", Columns: []column{{Name: "From", Class: "time"}, {Name: "To", Class: "time"}, {Name: "Why", Class: "name"}, {Name: "Event", Class: "day"}}, None: "No gap is known.",
	}
	if f.Timeline == nil {
		return b
	}
	for _, g := range f.Timeline.Gaps {
		to := g.To.Short()
		if g.Open {
			to = "goes on"
		}
		b.Rows = append(b.Rows, []string{g.From.Short(), to, say.Clip(g.Why, maxText), numbers(g.Events)})
	}
	return b
}
