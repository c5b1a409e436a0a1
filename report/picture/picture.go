// Package picture draws a timeline for the page of a report. It decides where bars, dates and signs
// stand, and what they say; a template writes them down as SVG.
package picture

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
)

// Mark is a change that the picture of a timeline points at.
type Mark struct {
	Time  record.Timestamp
	Kind  string // downgrade, failed
	What  string // package and version
	Event int64
}

// MaxMarks is how many marks a picture shows: more would hide each other.
const MaxMarks = 500

// The measures of the picture, in its own units: about a pixel each on A4.
const (
	pictureWidth = 800
	laneLeft     = 104 // left of it the names of the lanes
	laneRight    = 792
	barHeight    = 26
	laneStep     = 38
	laneTop      = 34 // above it the dates
	labelWidth   = 6.6
	slender      = 1.5 // no bar is narrower
	thin         = 4   // bars that can hardly be distinguished
	signWidth    = 6
	maxTicks     = 8
)

// Picture is a timeline as it is drawn: numbers and classes, no decisions.
type Picture struct {
	Width, Height, Left, Right px
	Bottom                     px // of the lanes
	Lanes                      []lane
	Ticks                      []tick
	Bars                       []bar
	Boots                      []sign
	Marks                      []sign
	Legend                     []legendEntry
	From, To                   string
	Desc                       string
	Tables                     []Table // what it shows, in words
}

// px is a coordinate, written with one decimal.
type px float64

// String implements fmt.Stringer.
func (p px) String() string { return fmt.Sprint(math.Round(float64(p)*10) / 10) }

type lane struct {
	Name   string
	Y      px // of its bars
	H, Mid px
}

type tick struct {
	X     px
	Label string
}

// bar is a stretch of time in a lane.
type bar struct {
	X, Y, W, H px
	Class      string
	Title      string // for whoever points at it
	Label      string
	LabelX     px
	LabelY     px

	last px  // width of the newest one of those that it stands for
	also int // how many more these are
}

// sign is a moment.
type sign struct {
	X, Y  px
	Class string
	Title string

	also int // how many more it stands for
}

// RailWidth is the width of the lanes.
func (p *Picture) RailWidth() px { return p.Right - p.Left }

// EdgeY is where the first and the last moment stand.
func (p *Picture) EdgeY() px { return p.Bottom + 15 }

// The lanes, from above.
const (
	laneKernel = iota
	lanePatch
	laneInitrd
	laneExposure
	laneRecord
	laneCount
)

// Draw makes the picture of a timeline, of the fixes on record and of what went wrong; nil if the
// timeline has no width.
func Draw(t *audit.Timeline, exposures []audit.Exposure, marks []Mark) *Picture {
	if t == nil || !t.From.Before(t.To.Time) {
		return nil
	}
	p := &Picture{Width: pictureWidth, Left: laneLeft, Right: laneRight, Bottom: laneTop + laneCount*laneStep, From: t.From.Short(), To: t.To.Short()}
	for i, name := range []string{"Kernel", "Live patch", "In the initrd", "Exposure", "Recorder gaps"} {
		y := laneY(i)
		p.Lanes = append(p.Lanes, lane{Name: name, Y: y, H: barHeight, Mid: y + barHeight/2})
	}
	d := &drawing{Picture: p, axis: axis{t.From.Time, t.To.Time}}
	p.Ticks = d.ticks()
	d.kernels(t.Kernels)
	d.patches(t.Patches)
	d.initrds(t.Initrds)
	stretches := exposed(exposures, t.From.Time, t.To.Time)
	d.exposure(stretches)
	d.gaps(t.Gaps)
	d.marks(marks)
	d.legend()
	p.Tables = d.tables()
	p.Desc = describe(t, stretches, marks)
	return p
}

func laneY(i int) px { return px(laneTop + i*laneStep + (laneStep-barHeight)/2) }

// drawing adds to a picture.
type drawing struct {
	*Picture
	axis axis
	told [laneCount + 1][]Row
}

// bar is a stretch in a lane; false if it is outside of the picture.
func (d *drawing) bar(lane int, from, to time.Time, class, title string) (bar, bool) {
	if !from.Before(d.axis.to) || !to.After(d.axis.from) {
		return bar{}, false
	}
	x := d.axis.x(from)
	w := max(d.axis.x(to)-x, slender)
	x = min(x, laneRight-w)
	return bar{X: x, Y: laneY(lane), W: w, H: barHeight, Class: class, Title: title}, true
}

// add appends a bar. Thin ones of a kind that follow each other become one: of hundreds of
// boots, only what can be seen is drawn.
func add(bars []bar, b bar) []bar {
	b.last = b.W
	if n := len(bars) - 1; n >= 0 {
		last := &bars[n]
		if last.Y == b.Y && last.Class == b.Class && last.last < thin && b.W < thin && b.X-(last.X+last.W) < slender {
			last.W, last.last, last.also = max(last.W, b.X+b.W-last.X), b.W, last.also+1
			last.Title = strings.TrimSuffix(last.Title, more(last.also-1)) + more(last.also)
			return bars
		}
	}
	return append(bars, b)
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d more here", n)
}

// label names a bar where the longer or the shorter text fits.
func (d *drawing) label(b bar, texts ...string) {
	for _, text := range texts {
		if px(len(text))*labelWidth+4 > b.W {
			continue
		}
		for i := len(d.Bars) - 1; i >= 0; i-- {
			if last := &d.Bars[i]; last.Y == b.Y && last.X <= b.X+b.W {
				last.Label, last.LabelX, last.LabelY = text, b.X+b.W/2, b.Y+b.H/2
				return
			}
		}
	}
}
