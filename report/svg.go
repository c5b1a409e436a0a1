package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// Mark is a change that the picture of a timeline points at.
type Mark struct {
	Time  record.Timestamp
	Kind  string // downgrade, failed
	What  string // package and version
	Event int64
}

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
	maxMarks     = 500 // more would hide each other
)

// picture is a timeline as it is drawn: numbers and classes, no decisions.
type picture struct {
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

// legendEntry explains a class.
type legendEntry struct {
	X, Y  px // of the middle of its line
	Class string
	Sign  bool
	Text  string
}

// Example is the sign that a legend explains.
func (e legendEntry) Example() sign {
	y := e.Y - 5.5
	if e.Class == "boot" { // stands on its point, the others hang from it
		y = e.Y + 1
	}
	return sign{X: e.X + 10, Y: y, Class: e.Class}
}

// BoxY is the top of the bar that a legend explains.
func (e legendEntry) BoxY() px { return e.Y - 5.5 }

// TextX is where its text begins.
func (e legendEntry) TextX() px { return e.X + 26 }

// RailWidth is the width of the lanes.
func (p *picture) RailWidth() px { return p.Right - p.Left }

// EdgeY is where the first and the last moment stand.
func (p *picture) EdgeY() px { return p.Bottom + 15 }

// The lanes, from above.
const (
	laneKernel = iota
	lanePatch
	laneInitrd
	laneExposure
	laneRecord
	laneCount
)

// draw makes the picture of a timeline; nil if it has no width.
func draw(t *audit.Timeline, exposures []audit.Exposure, marks []Mark) *picture {
	if t == nil || !t.From.Before(t.To.Time) {
		return nil
	}
	p := &picture{Width: pictureWidth, Left: laneLeft, Right: laneRight, Bottom: laneTop + laneCount*laneStep, From: t.From.Short(), To: t.To.Short()}
	for i, name := range []string{"Kernel", "Live patch", "In the initrd", "Exposure", "Recorder gaps"} {
		y := laneY(i)
		p.Lanes = append(p.Lanes, lane{Name: name, Y: y, H: barHeight, Mid: y + barHeight/2})
	}
	d := drawing{p, axis{t.From.Time, t.To.Time}}
	p.Ticks = d.ticks()
	d.kernels(t.Kernels)
	d.patches(t.Patches)
	d.initrds(t.Initrds)
	stretches := exposed(exposures, t.From.Time, t.To.Time)
	d.exposure(stretches)
	d.gaps(t.Gaps)
	d.marks(marks)
	d.legend()
	p.Desc = describe(t, stretches, marks)
	return p
}

func laneY(i int) px { return px(laneTop + i*laneStep + (laneStep-barHeight)/2) }

// drawing adds to a picture.
type drawing struct {
	*picture
	axis axis
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

// kernels draws a bar for each boot, and names each stretch of boots of one kernel once.
func (d *drawing) kernels(spans []audit.KernelSpan) {
	tone, previous := 1, ""
	var named *bar // the stretch that is to be named
	var release string
	name := func() {
		if named != nil {
			d.label(*named, release, shortRelease(release))
		}
		named = nil
	}
	for _, s := range spans {
		if s.BootID == "" {
			d.notKnown(laneKernel, s.Span, "The machine was off, or which kernel ran is not known")
			continue
		}
		if s.KernelRelease != previous {
			tone, previous = 1-tone, s.KernelRelease
			name()
		}
		title := fmt.Sprintf("Kernel %s, boot %s, %s", orUnknown(s.KernelRelease), say.ID(s.BootID), period(s.Span))
		b, ok := d.bar(laneKernel, s.From.Time, s.To.Time, fmt.Sprintf("kernel k%d%s", tone, unsure(s.Span)), title)
		if !ok {
			continue
		}
		d.Bars = add(d.Bars, b)
		d.boot(b.X, title)
		if named == nil {
			named, release = &b, orUnknown(s.KernelRelease)
		}
		named.W = b.X + b.W - named.X
	}
	name()
}

// boot marks the start of a boot. Signs in the same place are one.
func (d *drawing) boot(x px, title string) {
	if n := len(d.Boots) - 1; n >= 0 && x-d.Boots[n].X < signWidth {
		last := &d.Boots[n]
		last.also++
		last.Title = strings.TrimSuffix(last.Title, more(last.also-1)) + more(last.also)
		return
	}
	d.Boots = append(d.Boots, sign{X: x, Y: laneY(laneKernel), Class: "boot", Title: "Boot: " + title})
}

// notKnown draws that something is not known, where that can be seen.
func (d *drawing) notKnown(lane int, s audit.Span, what string) {
	if b, ok := d.bar(lane, s.From.Time, s.To.Time, "blank", what+", "+period(s)); ok && b.W > slender {
		d.Bars = append(d.Bars, b)
		d.label(b, "not known", "?")
	}
}

func (d *drawing) patches(spans []audit.PatchSpan) {
	for _, s := range spans {
		switch {
		case s.Confidence == audit.Unknown:
			d.notKnown(lanePatch, s.Span, "Which live patch was active is not known")
			continue
		case s.Module == "":
			if b, ok := d.bar(lanePatch, s.From.Time, s.To.Time, "none"+unsure(s.Span), "No live patch active, "+period(s.Span)); ok && b.W > slender {
				d.Bars = append(d.Bars, b)
				d.label(b, "no live patch", "none")
			}
			continue
		}
		class, label, small := "patch", "patch ?", "?"
		if s.PatchNumber != nil {
			small = fmt.Sprint(*s.PatchNumber)
			label = "patch " + small
		}
		if s.Initial != nil && *s.Initial {
			class, label = "patch initial", "initial patch"
		}
		what := fmt.Sprintf("Live patch %s, %s", say.Clip(s.Module, 120), label)
		if s.Transition {
			class, label, what = "patch loading", label+", loading", what+loading(s)
		}
		b, ok := d.bar(lanePatch, s.From.Time, s.To.Time, class+unsure(s.Span), what+", "+period(s.Span))
		if ok && (!s.Transition || b.W > slender) { // most loads take seconds
			d.Bars = add(d.Bars, b)
			d.label(b, label, small)
		}
	}
}

// loading says of a live patch in a transition what it replaces.
func loading(s audit.PatchSpan) string {
	over := ""
	if s.Replaces != nil && *s.Replaces != "" {
		over = " over " + say.Clip(*s.Replaces, 120)
	}
	return ", is being loaded" + over + " and not complete"
}

func (d *drawing) initrds(spans []audit.InitrdSpan) {
	for _, s := range spans {
		class, label := "initrd contained", "yes"
		switch {
		case s.Confidence == audit.Unknown || s.Verdict == record.VerdictUnknown:
			d.notKnown(laneInitrd, s.Span, "Whether the initrd holds the live patch is not known")
			continue
		case s.Verdict == record.VerdictMissing:
			class, label = "initrd missing", "no"
		}
		title := fmt.Sprintf("%s in the initrd: %s, %s", say.Clip(s.Module, 120), label, period(s.Span))
		if b, ok := d.bar(laneInitrd, s.From.Time, s.To.Time, class, title); ok {
			d.Bars = add(d.Bars, b)
			d.label(b, label)
		}
	}
}

func (d *drawing) exposure(stretches []stretch) {
	for _, s := range stretches {
		class, what := "exposed", "released, and not active"
		if s.lost {
			class, what = "lost", "taken away again"
		}
		title := fmt.Sprintf("%s %s, %s to %s", say.Plural(s.fixes, "CVE"), what, record.At(s.from).Short(), record.At(s.to).Short())
		if b, ok := d.bar(laneExposure, s.from, s.to, class, title); ok {
			d.Bars = add(d.Bars, b)
		}
	}
}

// gaps draws what was not recorded; gaps may overlap.
func (d *drawing) gaps(gaps []audit.Gap) {
	for _, g := range gaps {
		title := "Not recorded: " + say.Clip(g.Why, 200) + ", " + period(g.Span)
		if b, ok := d.bar(laneRecord, g.From.Time, g.To.Time, "gap", title); ok {
			d.Bars = add(d.Bars, b)
		}
	}
}

// marks draws what went wrong below the live patches, where it shows what it changed.
func (d *drawing) marks(marks []Mark) {
	for _, m := range marks {
		if m.Time.Before(d.axis.from) || m.Time.After(d.axis.to) {
			continue
		}
		y := laneY(lanePatch) + barHeight
		x := min(max(d.axis.x(m.Time.Time), laneLeft+7), laneRight-7)
		d.Marks = append(d.Marks, sign{X: x, Y: y, Class: m.Kind, Title: fmt.Sprintf("%s: %s, %s", m.Kind, say.Clip(m.What, 200), m.Time.Short())})
	}
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

// legend explains what the picture has, and nothing else.
func (d *drawing) legend() {
	seen := map[string]bool{}
	for _, b := range d.Bars {
		seen[strings.TrimSuffix(b.Class, " unsure")] = true
		if strings.HasSuffix(b.Class, " unsure") {
			seen["unsure"] = true
		}
	}
	for _, m := range slices.Concat(d.Boots, d.Marks) {
		seen[m.Class] = true
	}
	x, y := px(laneLeft), d.Bottom+44
	for _, e := range legendEntries {
		if !seen[e.Class] {
			continue
		}
		w := 26 + px(len(e.Text))*labelWidth*0.92 + 16
		if x+w > laneRight+8 {
			x, y = laneLeft, y+20
		}
		e.X, e.Y = x, y
		d.Legend = append(d.Legend, e)
		x += w
	}
	d.Height = y + 16
}

var legendEntries = []legendEntry{
	{Class: "boot", Sign: true, Text: "boot"},
	{Class: "downgrade", Sign: true, Text: "downgrade"},
	{Class: "failed", Sign: true, Text: "failed change"},
	{Class: "patch", Text: "live patch active"},
	{Class: "patch initial", Text: "initial patch, fixes nothing"},
	{Class: "patch loading", Text: "being loaded, not complete"},
	{Class: "initrd contained", Text: "in the initrd"},
	{Class: "initrd missing", Text: "not in the initrd: a reboot loses it"},
	{Class: "none", Text: "no live patch"},
	{Class: "blank", Text: "not known"},
	{Class: "exposed", Text: "fix released, not active"},
	{Class: "lost", Text: "fix taken away"},
	{Class: "gap", Text: "not recorded"},
	{Class: "unsure", Text: "dashed: inferred"},
}

// describe says in words what the picture shows.
func describe(t *audit.Timeline, stretches []stretch, marks []Mark) string {
	boots, kernels, patches := 0, map[string]bool{}, map[string]bool{}
	for _, k := range t.Kernels {
		if k.BootID != "" {
			boots++
			kernels[k.KernelRelease] = true
		}
	}
	for _, p := range t.Patches {
		if p.Module != "" {
			patches[p.Module] = true
		}
	}
	parts := []string{say.Plural(boots, "boot"), say.Plural(len(kernels), "kernel"), say.Plural(len(patches), "live patch level"),
		say.Plural(len(stretches), "time") + " with fixes known and not active", say.Plural(len(marks), "change") + " that failed or went back", say.Plural(len(t.Gaps), "recorder gap")}
	return fmt.Sprintf("From %s to %s: %s. The tables of this page hold the same.", t.From.Short(), t.To.Short(), join(parts))
}

// unsure is the class of spans that are inferred.
func unsure(s audit.Span) string {
	if s.Confidence == audit.Inferred {
		return " unsure"
	}
	return ""
}

// period says from when to when a span was.
func period(s audit.Span) string {
	to := "to " + s.To.Short()
	if s.Open {
		to = "and still so at " + s.To.Short()
	}
	return "from " + s.From.Short() + " " + to
}

// shortRelease is the part of a kernel release that tells one from another.
func shortRelease(release string) string {
	_, build, ok := strings.Cut(strings.TrimSuffix(release, "-default"), "-")
	if !ok {
		return release
	}
	if _, rest, ok := strings.Cut(build, "."); ok {
		return rest
	}
	return build
}

func orUnknown(s string) string {
	if s == "" {
		return "not known"
	}
	return say.Clip(s, 200)
}
