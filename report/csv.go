package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/store"
)

// columns are the columns of a CSV file, named as the keys in JSON. Lists are separated
// by blanks.
var columns = []struct {
	name string
	cell func(*store.HistoryRow) string
}{
	{"time", func(r *store.HistoryRow) string { return r.Time.Format("2006-01-02T15:04:05.000000Z") }},
	{"time_source", func(r *store.HistoryRow) string { return r.TimeSource }},
	{"utc_offset", func(r *store.HistoryRow) string { return r.UTCOffset }},
	{"commit", func(r *store.HistoryRow) string { return text(r.Commit) }},
	{"event", func(r *store.HistoryRow) string { return strconv.FormatInt(r.Event, 10) }},
	{"host", func(r *store.HistoryRow) string { return r.Host }},
	{"boot_id", func(r *store.HistoryRow) string { return r.BootID }},
	{"kind", func(r *store.HistoryRow) string { return r.Kind }},
	{"action", func(r *store.HistoryRow) string { return r.Action }},
	{"package", func(r *store.HistoryRow) string { return r.Package }},
	{"arch", func(r *store.HistoryRow) string { return r.Arch }},
	{"version", func(r *store.HistoryRow) string { return r.Version }},
	{"previous", func(r *store.HistoryRow) string { return text(r.Previous) }},
	{"kernel_release", func(r *store.HistoryRow) string { return text(r.KernelRelease) }},
	{"patch_number", patchNumber},
	{"initial", initial},
	{"result", func(r *store.HistoryRow) string { return string(r.Result) }},
	{"outcome", func(r *store.HistoryRow) string { return text(r.Outcome) }},
	{"source", func(r *store.HistoryRow) string { return r.Source }},
	{"login", func(r *store.HistoryRow) string { return text(r.Actor.Login) }},
	{"sudo_user", func(r *store.HistoryRow) string { return text(r.Actor.SudoUser) }},
	{"exe", func(r *store.HistoryRow) string { return text(r.Actor.Exe) }},
	{"tty", func(r *store.HistoryRow) string { return text(r.Actor.TTY) }},
	{"session", func(r *store.HistoryRow) string { return text(r.Actor.Session) }},
	{"automation", func(r *store.HistoryRow) string { return text(r.Actor.Automation) }},
	{"command", func(r *store.HistoryRow) string { return text(r.Command) }},
	{"userdata", func(r *store.HistoryRow) string { return text(r.UserData) }},
	{"repo", func(r *store.HistoryRow) string { return text(r.Repo) }},
	{"checksum", func(r *store.HistoryRow) string { return text(r.Checksum) }},
	{"signature_key", func(r *store.HistoryRow) string { return text(r.SignatureKey) }},
	{"advisories", func(r *store.HistoryRow) string { return strings.Join(r.Advisories, " ") }},
	{"cves_added", func(r *store.HistoryRow) string { return strings.Join(r.CVEsAdded, " ") }},
	{"cves_removed", func(r *store.HistoryRow) string { return strings.Join(r.CVEsRemoved, " ") }},
	{"bugs_added", func(r *store.HistoryRow) string { return strings.Join(r.BugsAdded, " ") }},
	{"bugs_removed", func(r *store.HistoryRow) string { return strings.Join(r.BugsRemoved, " ") }},
}

func patchNumber(r *store.HistoryRow) string {
	if r.PatchNumber == nil {
		return ""
	}
	return strconv.Itoa(*r.PatchNumber)
}

func initial(r *store.HistoryRow) string {
	if r.Initial == nil {
		return ""
	}
	return strconv.FormatBool(*r.Initial)
}

// writeCSV writes a history with a header row, as RFC 4180 has it but for the line ends,
// and nothing else.
func writeCSV(w io.Writer, h *History) error {
	out := csv.NewWriter(w)
	record := make([]string, len(columns))
	for i, c := range columns {
		record[i] = c.name
	}
	if err := out.Write(record); err != nil {
		return err
	}
	for row, err := range h.counted() {
		if err != nil {
			return err
		}
		for i, c := range columns {
			record[i] = harmless(Printable(c.cell(row)))
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// harmless keeps a spreadsheet from taking a cell for a formula (OWASP, CSV injection).
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
