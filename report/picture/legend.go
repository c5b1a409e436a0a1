package picture

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
)

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
	return fmt.Sprintf("From %s to %s: %s. The tables of this page hold the same.", t.From.Short(), t.To.Short(), say.Join(parts))
}
