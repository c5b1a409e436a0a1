package picture

import (
	"fmt"
	"strings"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

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
		title := fmt.Sprintf("Kernel %s, boot %s, %s", say.OrUnknown(s.KernelRelease), say.ID(s.BootID), period(s.Span))
		b, ok := d.bar(laneKernel, s.From.Time, s.To.Time, fmt.Sprintf("kernel k%d%s", tone, unsure(s.Span)), title)
		if !ok {
			continue
		}
		d.Bars = add(d.Bars, b)
		d.boot(b.X, title)
		if named == nil {
			named, release = &b, say.OrUnknown(s.KernelRelease)
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
