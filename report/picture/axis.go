package picture

import (
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
)

// axis maps times to coordinates.
type axis struct{ from, to time.Time }

func (a axis) x(t time.Time) px {
	share := t.Sub(a.from).Seconds() / a.to.Sub(a.from).Seconds()
	return px(laneLeft + min(max(share, 0), 1)*(laneRight-laneLeft))
}

// steps are how far apart the dates of an axis may be.
var steps = []struct {
	years, months, days, hours int
	layout                     string
}{
	{hours: 1, layout: "15:04"}, {hours: 3, layout: "15:04"}, {hours: 6, layout: "01-02 15:04"}, {days: 1, layout: "2006-01-02"},
	{days: 2, layout: "2006-01-02"}, {days: 7, layout: "2006-01-02"}, {days: 14, layout: "2006-01-02"},
	{months: 1, layout: "2006-01"}, {months: 2, layout: "2006-01"}, {months: 3, layout: "2006-01"}, {months: 6, layout: "2006-01"},
	{years: 1, layout: "2006"}, {years: 2, layout: "2006"}, {years: 5, layout: "2006"}, {years: 10, layout: "2006"},
}

// ticks are dates at round distances, at most maxTicks of them.
func (d *drawing) ticks() (ticks []tick) {
	for _, s := range steps {
		ticks = nil
		at := startOf(d.axis.from.In(record.ShownIn()), s.years > 0, s.months > 0, s.days > 0)
		for ; !at.After(d.axis.to) && len(ticks) <= maxTicks; at = at.AddDate(s.years, s.months, s.days).Add(time.Duration(s.hours) * time.Hour) {
			if !at.Before(d.axis.from) {
				ticks = append(ticks, tick{d.axis.x(at), record.At(at).Shown(s.layout)})
			}
		}
		if len(ticks) <= maxTicks {
			break
		}
	}
	return d.edgeTicks(ticks)
}

// startOf is the start of the year, month, day or hour that a moment is in.
func startOf(t time.Time, year, month, day bool) time.Time {
	switch {
	case year:
		return time.Date(t.Year(), 1, 1, 0, 0, 0, 0, t.Location())
	case month:
		return time.Date(t.Year(), 1, 1, 0, 0, 0, 0, t.Location()) // so that quarters are those of the year
	case day:
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, t.Location())
	}
	return audit.Day(t)
}

// edgeTicks leaves out dates whose text would stick out.
func (d *drawing) edgeTicks(ticks []tick) []tick {
	return slices.DeleteFunc(ticks, func(t tick) bool { return t.X > laneRight-20 || t.X < laneLeft+6 })
}
