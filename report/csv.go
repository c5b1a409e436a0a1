package report

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// lineBuffer gathers what is written line by line.
const lineBuffer = 64 << 10

// columns are the columns of a CSV file, named as the keys in JSON. Lists are separated
// by blanks.
var columns = []struct {
	name string
	cell func(*record.HistoryRow) string
}{
	{"time", func(r *record.HistoryRow) string { return r.Time.Format("2006-01-02T15:04:05.000000Z") }},
	{"time_source", func(r *record.HistoryRow) string { return r.TimeSource }},
	{"utc_offset", func(r *record.HistoryRow) string { return r.UTCOffset }},
	{"commit", func(r *record.HistoryRow) string { return text(r.Commit) }},
	{"event", func(r *record.HistoryRow) string { return strconv.FormatInt(r.Event, 10) }},
	{"host", func(r *record.HistoryRow) string { return r.Host }},
	{"boot_id", func(r *record.HistoryRow) string { return r.BootID }},
	{"kind", func(r *record.HistoryRow) string { return r.Kind }},
	{"action", func(r *record.HistoryRow) string { return r.Action }},
	{"package", func(r *record.HistoryRow) string { return r.Package }},
	{"arch", func(r *record.HistoryRow) string { return r.Arch }},
	{"version", func(r *record.HistoryRow) string { return r.Version }},
	{"previous", func(r *record.HistoryRow) string { return text(r.Previous) }},
	{"kernel_release", func(r *record.HistoryRow) string { return text(r.KernelRelease) }},
	{"patch_number", patchNumber},
	{"initial", initial},
	{"result", func(r *record.HistoryRow) string { return string(r.Result) }},
	{"outcome", func(r *record.HistoryRow) string { return text(r.Outcome) }},
	{"source", func(r *record.HistoryRow) string { return r.Source }},
	{"login", func(r *record.HistoryRow) string { return text(r.Actor.Login) }},
	{"sudo_user", func(r *record.HistoryRow) string { return text(r.Actor.SudoUser) }},
	{"exe", func(r *record.HistoryRow) string { return text(r.Actor.Exe) }},
	{"tty", func(r *record.HistoryRow) string { return text(r.Actor.TTY) }},
	{"session", func(r *record.HistoryRow) string { return text(r.Actor.Session) }},
	{"automation", func(r *record.HistoryRow) string { return text(r.Actor.Automation) }},
	{"command", func(r *record.HistoryRow) string { return text(r.Command) }},
	{"userdata", func(r *record.HistoryRow) string { return text(r.UserData) }},
	{"repo", func(r *record.HistoryRow) string { return text(r.Repo) }},
	{"checksum", func(r *record.HistoryRow) string { return text(r.Checksum) }},
	{"signature_key", func(r *record.HistoryRow) string { return text(r.SignatureKey) }},
	{"advisories", func(r *record.HistoryRow) string { return strings.Join(r.Advisories, " ") }},
	{"cves_added", func(r *record.HistoryRow) string { return strings.Join(r.CVEsAdded, " ") }},
	{"cves_removed", func(r *record.HistoryRow) string { return strings.Join(r.CVEsRemoved, " ") }},
	{"bugs_added", func(r *record.HistoryRow) string { return strings.Join(r.BugsAdded, " ") }},
	{"bugs_removed", func(r *record.HistoryRow) string { return strings.Join(r.BugsRemoved, " ") }},
	{"scripts", func(r *record.HistoryRow) string { return r.FailedScripts() }},
	{"known_since", func(r *record.HistoryRow) string { return exactly(r.KnownSince) }},
}

func patchNumber(r *record.HistoryRow) string {
	if r.PatchNumber == nil {
		return ""
	}
	return strconv.Itoa(*r.PatchNumber)
}

func initial(r *record.HistoryRow) string {
	if r.Initial == nil {
		return ""
	}
	return strconv.FormatBool(*r.Initial)
}

// writeCSV writes a history with a header row, as RFC 4180 has it but for the line ends,
// and nothing else but the warning.
func writeCSV(w io.Writer, h *History) error {
	out := bufio.NewWriterSize(w, lineBuffer)
	if warning := h.Provenance.Warning(); warning != "" {
		out.Write(appendCell(nil, warning))
		out.WriteString(strings.Repeat(",", len(columns)-1) + "\n")
	}
	for i, c := range columns {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(c.name)
	}
	out.WriteByte('\n')
	var line []byte
	for row, err := range h.counted() {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		line = line[:0]
		for _, c := range columns {
			line = append(appendCell(line, c.cell(row)), ',')
		}
		line[len(line)-1] = '\n'
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

// appendCell appends a cell that neither a terminal nor a spreadsheet obeys, quoted where
// it has to be.
func appendCell(line []byte, cell string) []byte {
	if isBare(cell) {
		return append(line, cell...) // nearly every one, and a history has many
	}
	cell = harmless(say.Printable(cell))
	if cell[0] != ' ' && cell != `\.` && !strings.ContainsAny(cell, `",`) {
		return append(line, cell...)
	}
	line = append(line, '"')
	line = append(line, strings.ReplaceAll(cell, `"`, `""`)...)
	return append(line, '"')
}

// isBare says whether a cell may stand in a line as it is. Where it says no, it still may.
func isBare(cell string) bool {
	if cell == "" {
		return true
	}
	switch cell[0] {
	case ' ', '=', '+', '-', '@', '\\':
		return false
	}
	for i := range len(cell) {
		if c := cell[i]; c < ' ' || c > '~' || c == '"' || c == ',' {
			return false
		}
	}
	return true
}

// harmless keeps a spreadsheet from taking a cell for a formula (OWASP, CSV injection).
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
