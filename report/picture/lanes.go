package picture

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// kernels draws a bar for each boot, and names each stretch of boots of one kernel once.
func (d *drawing) kernels(spans []audit.KernelSpan) {
	tone, previous := 1, ""
	var stretch *bar // the one that is to be named
	var release string
	name := func() {
		if stretch != nil {
			d.label(*stretch, release, shortRelease(release))
		}
		stretch = nil
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
		what := fmt.Sprintf("Kernel %s, boot %s", named(cmp.Or(s.KernelRelease, "not known"), 200), named(say.ID(s.BootID), 12))
		d.tell(laneKernel, s.Span, what)
		title := what + ", " + period(s.Span)
		b, ok := d.bar(laneKernel, s.From.Time, s.To.Time, fmt.Sprintf("kernel k%d%s", tone, unsure(s.Span)), title)
		if !ok {
			continue
		}
		d.Bars = add(d.Bars, b)
		d.boot(b.X, title)
		if stretch == nil {
			stretch, release = &b, say.OrUnknown(s.KernelRelease)
		}
		stretch.W = b.X + b.W - stretch.X
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
	d.tell(lane, s, what)
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
			d.tell(lanePatch, s.Span, "No live patch active")
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
		what := fmt.Sprintf("Live patch %s, %s", named(s.Module, 120), label)
		if s.Transition {
			class, label, what = "patch loading", label+", loading", what+loading(s)
		}
		d.tell(lanePatch, s.Span, what+loadedIn(s))
		b, ok := d.bar(lanePatch, s.From.Time, s.To.Time, class+unsure(s.Span), what+", "+period(s.Span))
		if ok && (!s.Transition || b.W > slender) { // most loads take seconds
			d.Bars = add(d.Bars, b)
			d.label(b, label, small)
		}
	}
}

// loadedIn says where a live patch was loaded, if that is known.
func loadedIn(s audit.PatchSpan) string {
	switch s.Phase {
	case record.PhaseInitrd:
		return ", loaded in the initrd"
	case record.PhaseSystem:
		return ", loaded after the initrd"
	}
	return ""
}

// loading says of a live patch in a transition what it replaces.
func loading(s audit.PatchSpan) string {
	over := ""
	if s.Replaces != nil && *s.Replaces != "" {
		over = " over " + named(*s.Replaces, 120)
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
		what := fmt.Sprintf("%s in the initrd: %s", named(s.Module, 120), label)
		d.tell(laneInitrd, s.Span, what)
		title := what + ", " + period(s.Span)
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
		what = say.Plural(s.fixes, "CVE") + " " + what
		span := audit.Span{From: record.At(s.from), To: record.At(s.to)}
		d.tell(laneExposure, span, what+": "+some(s.names))
		title := fmt.Sprintf("%s, %s to %s", what, span.From.Short(), span.To.Short())
		if b, ok := d.bar(laneExposure, s.from, s.to, class, title); ok {
			d.Bars = add(d.Bars, b)
		}
	}
}

// gaps draws what was not recorded; gaps may overlap.
func (d *drawing) gaps(gaps []audit.Gap) {
	for _, g := range gaps {
		title := "Not recorded: " + named(g.Why, 200) + ", " + period(g.Span)
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
		what := m.Kind + ": " + named(m.What, 200)
		d.tellMark(m.Time, fmt.Sprintf("%s, event %d", what, m.Event))
		y := laneY(lanePatch) + barHeight
		x := min(max(d.axis.x(m.Time.Time), laneLeft+7), laneRight-7)
		d.Marks = append(d.Marks, sign{X: x, Y: y, Class: m.Kind, Title: what + ", " + m.Time.Short()})
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
