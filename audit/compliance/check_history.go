package compliance

import (
	"fmt"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// unrecorded says what libzypp's history shows of the period that is not on record, and if
// that is not known, why.
func (g *grounds) unrecorded() (odd []string, problem string) {
	p := g.compared
	if p == nil && g.seen == nil {
		return nil, ""
	}
	if p == nil {
		return nil, "Whether libzypp's history shows more is not known: " + g.uncompared() + "."
	}
	c, err := p.Value()
	if err != nil {
		return nil, fmt.Sprintf("The comparison with libzypp's history cannot be read: %v.", err)
	}
	for _, m := range c.Missing {
		if m.Time.Before(g.since) {
			c.More = 0 // and so are those before it
			continue
		}
		text := fmt.Sprintf("%s of %s %s at %s stands only in libzypp's history, line %d", m.Action, m.Package, m.Version, m.Time.Short(), m.Line.Number)
		if m.Command != "" {
			text += ", by " + m.Command
		}
		odd = append(odd, text)
	}
	if c.More > 0 {
		odd = append(odd, say.Plural(c.More, "older line")+" of libzypp's history that nothing on record accounts for")
	}
	return odd, g.partlyCompared(c)
}

// partlyCompared says why a comparison does not tell all.
func (g *grounds) partlyCompared(c record.HistoryComparison) string {
	for _, l := range c.Lost {
		if !l.To.Before(g.since) {
			return fmt.Sprintf("Whether libzypp's history showed more is not known: at %s %s.", l.To.Short(), strings.TrimSuffix(l.Why, "."))
		}
	}
	switch {
	case g.at.Sub(g.compared.Time.Time) > time.Duration(g.profile.MaxAge):
		return fmt.Sprintf("With libzypp's history the record was compared last at %s, more than %s ago.", g.compared.Time.Short(), g.profile.MaxAge)
	case c.Behind:
		return "libzypp's history is not compared to its end yet: the next observations go on."
	}
	return ""
}

// uncompared says why there is no comparison.
func (g *grounds) uncompared() string {
	if why := g.seen.Unknown[string(record.PartZyppHistory)]; why != "" {
		return strings.TrimSuffix(why, ".")
	}
	return "no observation has compared it with the record"
}
