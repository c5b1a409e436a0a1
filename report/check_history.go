package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// historyPart is the part of an observation that compares libzypp's history with the record.
const historyPart = "zypp_history"

// compared is what the part says.
type compared struct {
	To      record.Timestamp
	Behind  bool
	Missing []struct {
		Time                              record.Timestamp
		Action, Package, Version, Command string
		Line                              record.HistoryLine
	}
	More int
	Lost []struct {
		To  record.Timestamp
		Why string
	}
}

// unrecorded says what libzypp's history shows of the period that is not on record, and if
// that is not known, why.
func (g *grounds) unrecorded() (odd []string, problem string) {
	p := g.parts[historyPart]
	if p == nil && g.seen == nil {
		return nil, ""
	}
	if p == nil {
		return nil, "Whether libzypp's history shows more is not known: " + g.uncompared() + "."
	}
	var c compared
	if err := json.Unmarshal(p.JSON, &c); err != nil {
		return nil, fmt.Sprintf("The comparison with libzypp's history cannot be read: %v.", err)
	}
	for _, m := range c.Missing {
		if m.Time.Before(g.since) {
			c.More = 0 // and so are those before it
			continue
		}
		text := fmt.Sprintf("%s of %s %s at %s stands only in libzypp's history, line %d", m.Action, m.Package, m.Version, shortTime(m.Time), m.Line.Number)
		if m.Command != "" {
			text += ", by " + m.Command
		}
		odd = append(odd, text)
	}
	if c.More > 0 {
		odd = append(odd, plural(c.More, "older line")+" of libzypp's history that nothing on record accounts for")
	}
	return odd, c.unknown(p, g)
}

// unknown says why the comparison does not tell all.
func (c *compared) unknown(p *record.Part, g *grounds) string {
	for _, l := range c.Lost {
		if !l.To.Before(g.since) {
			return fmt.Sprintf("Whether libzypp's history showed more is not known: at %s %s.", shortTime(l.To), strings.TrimSuffix(l.Why, "."))
		}
	}
	switch {
	case g.at.Sub(p.Time.Time) > time.Duration(g.profile.MaxAge):
		return fmt.Sprintf("With libzypp's history the record was compared last at %s, more than %s ago.", shortTime(p.Time), g.profile.MaxAge)
	case c.Behind:
		return "libzypp's history is not compared to its end yet: the next observations go on."
	}
	return ""
}

// uncompared says why there is no comparison.
func (g *grounds) uncompared() string {
	if why := g.seen.Unknown[historyPart]; why != "" {
		return strings.TrimSuffix(why, ".")
	}
	return "no observation has compared it with the record"
}
