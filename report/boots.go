package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

// BootsSchema and InitrdSchema name the forms of these sections in JSON.
const (
	BootsSchema  = "klp-audit/boots/1"
	InitrdSchema = "klp-audit/initrd/1"
)

// Boots are the boots of a journal, and the files of it that were not read.
type Boots struct{ record.Journal }

func (b *Boots) forms() []form {
	return []form{{"table", b.writeTable}, object(struct {
		Schema string `json:"schema"`
		record.Journal
	}{BootsSchema, b.Journal})}
}

func (b *Boots) writeTable(w io.Writer, style table.Style) error {
	var cells [][]string
	for _, boot := range b.Boots {
		cells = append(cells, bootCells(boot)...)
	}
	if len(cells) == 0 {
		fmt.Fprintln(w, "No boots in this journal.")
	} else if err := table.Render(w, []string{"TIME", "BOOT", "WHAT"}, table.Fit(cells, style), style); err != nil {
		return err
	}
	return writeUnread(w, b.Unread, style.Sized().Width)
}

// writeUnread names files that were not read.
func writeUnread(w io.Writer, files []record.UnreadFile, width int) error {
	if len(files) == 0 {
		return nil
	}
	lines := append([]string{""}, table.Wrap("Not read, or not to the end; boots, loads and builds may be missing:", width)...)
	for _, f := range files {
		lines = append(lines, table.Wrap(say.Printable(f.Path)+": "+say.Printable(f.Why), width)...)
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// bootCells are the rows of a boot: its start, and what happened in it, in time.
func bootCells(b record.Boot) [][]string {
	what := "kernel " + say.Printable(b.KernelRelease)
	if b.KernelRelease == "" {
		what = "kernel not known"
	}
	if !b.StartInJournal {
		what += "; its start is not in the journal"
	}
	if b.MessagesLost {
		what += "; kernel messages were lost"
	}
	if b.Incomplete {
		what += "; a file was not read"
	}
	cells := [][]string{{b.First.Short(), say.ID(b.ID), what}}
	loads, builds := b.Loads, b.Builds
	for len(loads) > 0 || len(builds) > 0 {
		if len(builds) == 0 || len(loads) > 0 && !loads[0].Time.After(builds[0].Time.Time) {
			cells = append(cells, []string{loads[0].Time.Short(), "", loadText(loads[0])})
			loads = loads[1:]
			continue
		}
		cells = append(cells, []string{builds[0].Time.Short(), "", buildText(builds[0])})
		builds = builds[1:]
	}
	return cells
}

func loadText(l record.Load) string {
	text := "loaded " + say.Printable(l.Patch) + " in the " + map[record.Phase]string{"initrd": "initrd", "system": "real root"}[l.Phase]
	if l.Phase == record.PhaseUnknown {
		text = "loaded " + say.Printable(l.Patch) + ", in the initrd or not is undecided"
	}
	if l.Rule != "" {
		text += " (" + l.Rule + ")"
	}
	return text + ": " + string(l.Result)
}

func buildText(b record.Build) string {
	text := "initrd built for " + cmp.Or(say.Printable(b.KernelRelease), "a kernel that cannot be told")
	if b.Image != "" {
		text += ": " + say.Printable(b.Image)
	}
	if len(b.Modules) > 0 {
		text += " with " + say.Printable(strings.Join(b.Modules, ", "))
	}
	if !b.Success {
		text += "; it did not say that it ended well"
	}
	return text
}

// InitrdVerdict is a verdict on an initrd; explained, with all that it stands on.
type InitrdVerdict struct {
	record.Initrd
	Explain bool
}

func (v *InitrdVerdict) forms() []form {
	return []form{{"table", v.writeTable}, object(struct {
		Schema string `json:"schema"`
		record.Initrd
	}{InitrdSchema, v.Initrd})}
}

func (v *InitrdVerdict) writeTable(w io.Writer, style table.Style) error {
	style = style.Sized()
	lines := table.Wrap(InitrdText(v.Initrd), style.Width)
	if v.Explain {
		lines = append(lines, explained(v.Initrd, style.Width)...)
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// InitrdText is the verdict in a sentence.
func InitrdText(v record.Initrd) string {
	patch, kernel := say.Printable(v.Patch), say.Printable(v.KernelRelease)
	switch {
	case v.Reason == record.ReasonNoImage:
		return fmt.Sprintf("MISSING: %s has no initrd: this kernel does not boot (no-image). Before any reboot %s.", kernel, compliance.BuildHint(v.KernelRelease))
	case v.Verdict == record.VerdictContained:
		return fmt.Sprintf("CONTAINED: the initrd of %s holds %s, %s.", kernel, patch, basisText[v.Basis])
	case v.Verdict == record.VerdictMissing:
		return fmt.Sprintf("MISSING: the initrd of %s does not hold %s, %s. A reboot now loses its fixes.", kernel, patch, basisText[v.Basis])
	}
	switch {
	case v.Reason == record.ReasonNoPatch:
		return "UNKNOWN: no live patch is active, so there is none to look for (no-live-patch)."
	case patch == "":
		return fmt.Sprintf("UNKNOWN: which live patch was active cannot be proven: %s (%s).", reasonText[v.Reason], v.Reason)
	case kernel == "":
		kernel = "that kernel"
	}
	return fmt.Sprintf("UNKNOWN: whether the initrd of %s holds %s cannot be proven: %s (%s).", kernel, patch, reasonText[v.Reason], v.Reason)
}

var basisText = map[record.Basis]string{
	record.BasisBuild:    "as the newest build said",
	record.BasisBoot:     "for this boot loaded it from there",
	record.BasisInferred: "as follows from the newest build",
	record.BasisImage:    "as the image itself shows",
}

var reasonText = map[record.Reason]string{
	record.ReasonOtherSnapshot:    "the next boot may run another snapshot",
	record.ReasonPatchesUnknown:   "what the kernel runs cannot be read",
	record.ReasonNoJournal:        "there is no journal to read",
	record.ReasonJournalUnread:    "a file of the journal that may hold more cannot be read",
	record.ReasonBootStart:        "the journal no longer holds the start of the boot",
	record.ReasonMessagesLost:     "kernel messages of the boot were lost",
	record.ReasonPhase:            "it cannot be told whether it was loaded in the initrd",
	record.ReasonNoBuild:          "no image build says what it packed",
	record.ReasonBuildUnconfirmed: "the newest build did not say that it ended well",
	record.ReasonBuildFailed:      "the newest build did not say that it ended well",
	record.ReasonBuildBefore:      "the newest build may have come before the patch",
	record.ReasonNoModuleLine:     "the newest build did not say that it packs live patches",
	record.ReasonUnloggedBuild:    "the image is newer than any build on record",
	record.ReasonUnreadable:       "the image cannot be read",
}

// explained lists the evidence in its order, as a person would argue it.
func explained(v record.Initrd, width int) (lines []string) {
	if len(v.Evidence) == 0 {
		return []string{"", "There is no evidence."}
	}
	for i, e := range v.Evidence {
		lines = append(lines, "")
		says := fmt.Sprintf("%d. %s", i+1, say.Printable(e.Says))
		if e.Time != nil {
			says += " (" + (*e.Time).Short() + ")"
		}
		lines = append(lines, table.Wrap(says, width)...)
		for _, detail := range []struct{ name, value string }{
			{"message", e.Message}, {"boot", e.BootID}, {"cursor", e.Cursor}, {"file", e.Path}, {"sha256", e.SHA256},
		} {
			if detail.value != "" {
				lines = append(lines, "   "+detail.name+": "+say.Printable(detail.value))
			}
		}
	}
	return lines
}
