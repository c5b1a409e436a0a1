package report

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

// ObservationSchema names the form of an observation in JSON.
const ObservationSchema = "klp-audit/observation/1"

// Machine is a machine as an observation saw it.
type Machine struct {
	*record.Observation
	At time.Time // when it did
}

func (m *Machine) forms() []form {
	return []form{
		{"table", func(w io.Writer, style table.Style) error { return machineFacts(m.Observation, m.At).Write(w, style) }},
		object(struct {
			Schema string `json:"schema"`
			*record.Observation
		}{ObservationSchema, m.Observation}),
	}
}

// machineFacts are the machine on one screen.
func machineFacts(o *record.Observation, at time.Time) (f table.Facts) {
	f.Add("Kernel", "%s, booted %s", o.Kernel.Release, o.Kernel.BootTime.Short())
	f.Add("Live patch", "%s", livePatchText(o))
	if o.LivePatch != nil || o.Initrd.Reason == record.ReasonNoImage {
		f.Add("In initrd", "%s", InitrdText(o.Initrd))
	}
	f.Add("Covered", "%s", coverageText(o, at))
	f.Add("Reboot", "%s", rebootText(o))
	if n := o.NextBoot; n != nil {
		f.Add("Next boot", "kernel %s, by %s", n.KernelRelease, n.Source)
	}
	var unknown []string
	for part := range o.Unknown {
		unknown = append(unknown, strings.ReplaceAll(part, "_", " "))
	}
	if slices.Sort(unknown); len(unknown) > 0 {
		f.Add("Not known", "%s; the reasons are in --format json", strings.Join(unknown, ", "))
	}
	return f
}

func livePatchText(o *record.Observation) string {
	lp := o.LivePatch
	switch {
	case lp == nil && o.Patches == nil:
		return "NOT KNOWN: " + o.Unknown["patches"]
	case lp == nil && record.InTransition(o.Patches):
		return "none: " + o.Patches[0].Module + " IS BEING DISABLED"
	case lp == nil:
		return "none"
	}
	text := lp.Module + " of no installed package"
	switch {
	case lp.Package != nil:
		text = lp.Module + " of " + *lp.Package + " " + *lp.Version
	case o.Installed == nil:
		text = lp.Module + " of a package that is not known"
	}
	switch {
	case lp.Initial != nil && *lp.Initial:
		text += ", the empty initial patch"
	case lp.CVEs != nil:
		text += ", " + say.Plural(len(lp.CVEs), "CVE")
	}
	if lp.Transition {
		text += ", IN TRANSITION"
	}
	if lp.Since != nil {
		text += ", loaded " + (*lp.Since).Short()
	}
	return text
}

func coverageText(o *record.Observation, at time.Time) string {
	c, _, err := record.ReadPart[record.Coverage](o)
	if err != nil || c.Date == "" {
		return "NOT KNOWN: " + o.Unknown[string(record.PartCoverage)]
	}
	return "until " + untilText(c.Date, at) + ", by " + c.File
}

func rebootText(o *record.Observation) string {
	r := o.Reboot
	if r == nil {
		return "NOT KNOWN: " + o.Unknown["reboot"]
	}
	why := ""
	if r.NewestKernel != "" && r.NewestKernel != o.Kernel.Release {
		why = ": kernel " + r.NewestKernel + " is installed"
	} else if r.Asked {
		why = ": libzypp asks for it"
	} else if r.NewestUnknown != "" {
		why = ": a newer kernel is installed"
	}
	switch o.PendingReboot() {
	case record.PendingUnknown:
		return "PENDING" + why + "; whether a live patch protects the running kernel until then could not be read"
	case record.PendingYes:
		return "PENDING" + why
	case record.PendingLivePatched:
		return "pending" + why + "; until then its live patch protects the running kernel"
	}
	return "not pending"
}
