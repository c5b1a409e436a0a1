package report

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// Nagios is how monitoring plugins name a verdict, and the exit status that says it (Monitoring
// Plugins Development Guidelines).
func Nagios(r compliance.Rating) (word string, status int) {
	switch r {
	case compliance.Pass, compliance.NotApplicable:
		return "OK", 0
	case compliance.Warn:
		return "WARNING", 1
	case compliance.Fail:
		return "CRITICAL", 2
	}
	return "UNKNOWN", 3
}

// WriteCheck renders the summary for Nagios: a line with performance data, and below it, in the words of all other
// reports, what did not pass. The bar that parts text from data is in no text.
func WriteCheck(w io.Writer, c *compliance.Summary, p *compliance.Profile) error {
	word, _ := Nagios(c.Verdict)
	_, err := fmt.Fprintf(w, "KLP-AUDIT %s - %s | %s\n", word, headline(c), perfdata(c, p))
	if err == nil && c.Open.Numbers > 0 {
		_, err = fmt.Fprintln(w, NagiosText(openLine(c)))
	}
	for _, f := range c.Findings() {
		if err != nil {
			break
		}
		if !isOpen(&f.CheckResult) {
			continue
		}
		for i, text := range checkTexts(&f) {
			if i == 0 {
				text = string(f.Result) + " " + f.ID + ": " + text
			} else {
				text = "  " + text
			}
			if _, err = fmt.Fprintln(w, NagiosText(text)); err != nil {
				return err
			}
		}
	}
	return err
}

// openLine says what is open, and what to do, in one line.
func openLine(c *compliance.Summary) string {
	var parts []string
	for _, f := range openFacts(c.Open, c.At.Time, c.At.Time) {
		parts = append(parts, f.Name+": "+f.Text)
	}
	return strings.Join(parts, ". ") + "."
}

// headline is what is wrong first, in one line.
func headline(c *compliance.Summary) string {
	if len(c.Checks) == 0 {
		return "no check was asked for"
	}
	if c.Verdict == compliance.Pass {
		return NagiosText(c.Sum())
	}
	first := c.Findings()[0]
	if c.Warning != "" { // which says which check it is
		return NagiosText(fmt.Sprintf("%s (%s)", inShort(first.Short()), c.Sum()))
	}
	return NagiosText(fmt.Sprintf("%s: %s (%s)", first.ID, inShort(first.Short()), c.Sum()))
}

// inShort is a text that fits on a pager: the whole one is below it.
func inShort(detail string) string { return say.Clip(strings.TrimSuffix(detail, "."), 120) }

// NagiosText is printable, and without the character that performance data begins with.
func NagiosText(s string) string { return strings.ReplaceAll(say.Printable(s), "|", "/") }

// perfdata are the numbers: 'label'=value[unit];warn;crit.
func perfdata(c *compliance.Summary, p *compliance.Profile) string {
	counts := map[compliance.Rating]int{}
	for _, r := range c.Checks {
		counts[r.Result]++
	}
	var data []string
	for _, r := range compliance.Ratings() {
		data = append(data, fmt.Sprintf("%s=%d;;;0", strings.ReplaceAll(string(r), "-", "_"), counts[r]))
	}
	if left := c.CoverageLeft; left != nil && hasCheck(c, "coverage") {
		limits := p.Criteria["coverage"]
		data = append(data, fmt.Sprintf("coverage_days=%d;%d:;%d:", *left, int(time.Duration(limits.Warn).Hours()/24), int(time.Duration(limits.Fail).Hours()/24)))
	}
	if c.Open.Numbers > 0 || c.Open.Unknown == "" {
		data = append(data, fmt.Sprintf("open_fixes=%d;;;0", c.Open.Numbers))
	}
	return strings.Join(data, " ")
}

func hasCheck(c *compliance.Summary, id string) bool {
	for _, r := range c.Checks {
		if r.ID == id {
			return true
		}
	}
	return false
}

// metric is a family of gauges.
type metric struct {
	name, unit, help string
	samples          []sample
}

type sample struct {
	labels string
	value  string
}

// WriteMetrics renders summary and state as OpenMetrics text that is Prometheus' text format,
// too: node_exporter's textfile collector reads that. All of it are gauges; what is not
// known has no sample.
func WriteMetrics(w io.Writer, c *compliance.Summary, st *audit.State) error {
	var b strings.Builder
	for _, m := range metrics(c, st) {
		if len(m.samples) == 0 {
			continue
		}
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", m.name, m.help, m.name)
		if m.unit != "" {
			fmt.Fprintf(&b, "# UNIT %s %s\n", m.name, m.unit)
		}
		for _, s := range m.samples {
			fmt.Fprintf(&b, "%s%s %s\n", m.name, s.labels, s.value)
		}
	}
	b.WriteString("# EOF\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func metrics(c *compliance.Summary, st *audit.State) []metric {
	var status []sample
	for _, id := range compliance.CheckIDs() {
		for _, r := range c.Checks {
			if r.ID == id && r.Result != compliance.NotApplicable {
				_, n := Nagios(r.Result)
				status = append(status, sample{fmt.Sprintf("{check=%q}", id), fmt.Sprint(n)})
			}
		}
	}
	_, verdict := Nagios(c.Verdict)
	return []metric{
		{"klp_audit_info", "", "1, with what runs: kernel, and the module, package version and number of the active live patch; what is not known, or not there, is empty.", infoSample(st)},
		{"klp_audit_history_verify_ok", "", strings.TrimLeft(helpText(c.Warning)+" 1 if the record is intact.", " "), yesNo(intact(c))},
		{"klp_audit_check_status", "", "Result of a compliance check: 0 pass, 1 warn, 2 fail, 3 unknown.", status},
		{"klp_audit_check_accepted", "", "1 for a check whose finding somebody accepts at the moment.", acceptedSamples(c)},
		{"klp_audit_status", "", "Verdict over all checks: 0 pass, 1 warn, 2 fail, 3 unknown.", single(verdict)},
		{"klp_audit_open_fixes", "", "CVE numbers that the vendor has fixed, and that are open on this machine, by the severity of the advisory and by what closes them.", openSamples(c.Open)},
		{"klp_audit_open_fixes_since_timestamp_seconds", "seconds", "Since when the oldest of them is open.", moment(c.Open.Since)},
		{"klp_audit_livepatch_active", "", "1 if a live patch is active, and its load complete.", yesNo(isActive(st))},
		{"klp_audit_livepatch_in_initrd", "", "1 if the initrd holds the active live patch.", yesNo(inInitrd(st))},
		{"klp_audit_livepatch_coverage_end_timestamp_seconds", "seconds", "Last day on which SUSE makes live patches for the running kernel.", moment(coverageEnd(st))},
		{"klp_audit_last_transaction_timestamp_seconds", "seconds", "End of the newest commit on record.", moment(c.Record.LastCommit)},
		{"klp_audit_last_event_timestamp_seconds", "seconds", "Newest event on record.", moment(c.Record.Last)},
		{"klp_audit_reboot_required", "", "1 if a reboot is pending, also while the kernel is live patched.", yesNo(rebootPending(st))},
		{"klp_audit_check_timestamp_seconds", "seconds", "When this was found out.", moment(&c.At)},
	}
}

// infoSample says what runs, nothing if that is not known.
func infoSample(s *audit.State) []sample {
	if s.KernelRelease == nil {
		return nil
	}
	module, version, number := "", "", ""
	if p := s.LivePatch; p != nil {
		module, version = p.Module, record.OrEmpty(p.Version)
		if p.PatchNumber != nil {
			number = strconv.Itoa(*p.PatchNumber)
		}
	}
	return []sample{{fmt.Sprintf("{kernel=%q,module=%q,version=%q,number=%q}", helpText(*s.KernelRelease), helpText(module), helpText(version), number), "1"}}
}

// acceptedSamples are the checks whose finding is accepted.
func acceptedSamples(c *compliance.Summary) (samples []sample) {
	for _, id := range compliance.CheckIDs() {
		for _, r := range c.Checks {
			if r.ID == id && r.Exception != nil && !r.Exception.Expired && isOpen(&r) {
				samples = append(samples, sample{fmt.Sprintf("{check=%q}", id), "1"})
			}
		}
	}
	return samples
}

// openSamples counts what is open. That a sort has none is known only where it is known what was released.
func openSamples(o *audit.Open) (samples []sample) {
	count := map[string]int{}
	var labels []string
	add := func(severity string, r audit.Remedy, n int) {
		label := fmt.Sprintf("{severity=%q,remedy=%q}", helpText(cmp.Or(severity, "unknown")), r)
		if _, is := count[label]; !is {
			labels = append(labels, label)
		}
		count[label] += n
	}
	if o.Unknown == "" {
		for _, severity := range audit.Severities() {
			for _, r := range audit.Remedies() {
				add(severity, r, 0)
			}
		}
	}
	for _, g := range o.Groups {
		add(say.Clip(g.Severity, 20), g.Remedy, g.Numbers)
	}
	for _, label := range labels {
		samples = append(samples, sample{label, fmt.Sprint(count[label])})
	}
	return samples
}

// helpText is without what is an escape in the help of a metric.
func helpText(s string) string {
	return strings.NewReplacer(`\`, "/", `"`, "'").Replace(say.Printable(s))
}

func single(n int) []sample { return []sample{{"", fmt.Sprint(n)}} }

// yesNo is 1 or 0, nothing if it is not known.
func yesNo(b *bool) []sample {
	switch {
	case b == nil:
		return nil
	case *b:
		return single(1)
	}
	return single(0)
}

func moment(t *record.Timestamp) []sample {
	if t == nil {
		return nil
	}
	return []sample{{"", fmt.Sprint(t.Unix())}}
}

// isActive says whether a live patch is.
func isActive(s *audit.State) *bool {
	switch {
	case s.LivePatch != nil:
		return new(s.LivePatch.Enabled && !s.LivePatch.Transition)
	case s.Unknown["live_patch"] != "" || s.Confidence == audit.Unknown:
		return nil
	}
	return new(false)
}

// inInitrd says whether the initrd holds the active live patch.
func inInitrd(s *audit.State) *bool {
	if s.Initrd == nil || s.Initrd.Verdict == record.VerdictUnknown {
		return nil
	}
	return new(s.Initrd.Verdict == record.VerdictContained)
}

// coverageEnd is the first moment of the last day.
func coverageEnd(s *audit.State) *record.Timestamp {
	if s.CoveredUntil == nil {
		return nil
	}
	end, err := time.Parse(time.DateOnly, *s.CoveredUntil)
	if err != nil {
		return nil
	}
	return new(record.At(end))
}

func rebootPending(s *audit.State) *bool {
	if s.PendingReboot == nil {
		return nil
	}
	return new(*s.PendingReboot != string(record.PendingNo))
}

// intact is what the check of the record's integrity came to.
func intact(c *compliance.Summary) *bool {
	for _, r := range c.Checks {
		switch {
		case r.ID != compliance.IntegrityID:
		case r.Result == compliance.Fail:
			return new(false)
		case r.Result == compliance.Pass || r.Result == compliance.Warn:
			return new(true)
		}
	}
	return nil
}
