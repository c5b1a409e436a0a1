package report

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

func metricsOf(t *testing.T, c *compliance.Summary, st *audit.State, sum *record.Summary) string {
	t.Helper()
	c.Record = sum
	var b strings.Builder
	storetest.Check(t, WriteMetrics(&b, c, st))
	return b.String()
}

func TestMetrics(t *testing.T) {
	c := troubled(t)
	st := &audit.State{LivePatch: &record.LivePatch{Enabled: true}, Initrd: &record.Initrd{Verdict: record.VerdictMissing},
		CoveredUntil: new("2026-02-20"), PendingReboot: new(string(record.PendingLivePatched))}
	sum := &record.Summary{Last: new(record.At(testNow)), LastCommit: new(record.At(testNow))}
	got := metricsOf(t, c, st, sum)
	compareGolden(t, "testdata/compliance.prom", got)
	checkExposition(t, got)
	checkWithPromtool(t, got)
}

// What is not known has no sample: 0 would say that it is known to be so.
func TestUnknownIsNoMetric(t *testing.T) {
	got := metricsOf(t, &compliance.Summary{Open: &audit.Open{Unknown: "It is not on record."}, Verdict: compliance.NotDetermined, At: record.At(testNow)}, &audit.State{Confidence: audit.Unknown, CoveredUntil: new("soon")}, &record.Summary{})
	checkExposition(t, got)
	for _, name := range []string{"livepatch_active", "in_initrd", "coverage_end", "last_transaction", "verify_ok", "reboot_required", "check_status{"} {
		if strings.Contains(got, name) {
			t.Errorf("%s:\n%s", name, got)
		}
	}
	if !strings.Contains(got, "klp_audit_status 3\n") {
		t.Errorf("no status:\n%s", got)
	}
	for _, tt := range []struct {
		st   audit.State
		want string
	}{
		{audit.State{}, "klp_audit_livepatch_active 0\n"},
		{audit.State{PendingReboot: new("no")}, "klp_audit_reboot_required 0\n"},
		{audit.State{Initrd: &record.Initrd{Verdict: record.VerdictContained}}, "klp_audit_livepatch_in_initrd 1\n"},
	} {
		if got := metricsOf(t, &compliance.Summary{Open: &audit.Open{}}, &tt.st, &record.Summary{}); !strings.Contains(got, tt.want) {
			t.Errorf("no %s in\n%s", tt.want, got)
		}
	}
}

var (
	metaLine   = regexp.MustCompile(`^# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$`)
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*")*\})? (-?[0-9]+(?:\.[0-9]+)?)$`)
)

// checkExposition compares a text with the grammar of OpenMetrics 1.0 ("ABNF" and "Text
// format"), as far as gauges need it: families are not mixed, metadata stands before their
// samples and once each, a unit ends the name, no sample is there twice, and # EOF ends all.
func checkExposition(t *testing.T, text string) {
	t.Helper()
	body, ok := strings.CutSuffix(text, "# EOF\n")
	if !ok {
		t.Errorf("no # EOF at the end of\n%s", text)
	}
	family, seen, begun := "", map[string]bool{}, false
	for line := range strings.Lines(body) {
		line, ended := strings.CutSuffix(line, "\n")
		if !ended {
			t.Errorf("%q has no end", line)
		}
		if m := metaLine.FindStringSubmatch(line); m != nil {
			switch {
			case m[2] != family && seen[m[2]]:
				t.Errorf("%q: the family was there", line)
			case m[2] == family && begun:
				t.Errorf("%q stands behind samples", line)
			case seen[m[1]+m[2]]:
				t.Errorf("%q is there twice", line)
			case m[1] == "TYPE" && m[3] != "gauge":
				t.Errorf("%q is no gauge", line)
			case m[1] == "UNIT" && !strings.HasSuffix(m[2], "_"+m[3]):
				t.Errorf("%q does not end in its unit", m[2])
			}
			if m[2] != family {
				family, begun = m[2], false
			}
			seen[m[2]], seen[m[1]+m[2]] = true, true
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || m[1] != family || seen[m[1]+m[2]+"="] || !seen["TYPE"+family] {
			t.Errorf("%q is no sample of %q", line, family)
			continue
		}
		begun, seen[m[1]+m[2]+"="] = true, true
	}
}

// checkWithPromtool asks Prometheus' own tool, where it is.
func checkWithPromtool(t *testing.T, text string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool is not here")
		return
	}
	cmd := exec.Command(tool, "check", "metrics")
	cmd.Stdin, cmd.Stderr = strings.NewReader(text), os.Stderr
	if out, err := cmd.Output(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// A text in the line for Nagios cannot pass for performance data, nor for another line.
func TestNagiosLineIsOneLine(t *testing.T) {
	c := &compliance.Summary{Open: &audit.Open{}, Verdict: compliance.Fail, Checks: []compliance.CheckResult{{ID: "clock", Result: compliance.Fail, Detail: "a | x=1\nb\x1b[2J.", ToDo: new("f | g"),
		Exception: &audit.Exception{Reason: "c | d\ne"}, Evidence: []string{"journal s=|"}}}}
	var b strings.Builder
	storetest.Check(t, WriteCheck(&b, c, defaultProfile(t)))
	first, rest, _ := strings.Cut(b.String(), "\n")
	if strings.Count(first, "|") != 1 || strings.Contains(rest, "|") || strings.Count(b.String(), "\n") != 5 {
		t.Errorf("got %s", b.String())
	}
	if !strings.HasPrefix(first, "KLP-AUDIT CRITICAL - clock: a / x=1?b?[2J (1 fail) | fail=1;;;0 ") {
		t.Errorf("got %s", first)
	}
}

// A load that is not complete protects nothing: the metric does not count it.
func TestMetricOfATransition(t *testing.T) {
	st := &audit.State{LivePatch: &record.LivePatch{Enabled: true, Transition: true}}
	if active := isActive(st); active == nil || *active {
		t.Errorf("active: %v", active)
	}
}

// The rules and the dashboard that come with the package ask for metrics that there are, with labels that they have.
func TestMonitoringAsksForWhatThereIs(t *testing.T) {
	known := map[string]bool{}
	for _, m := range metrics(&compliance.Summary{Open: &audit.Open{}, Record: &record.Summary{}}, &audit.State{}) {
		known[m.name] = true
	}
	name := regexp.MustCompile(`klp_audit_[a-z_]+`)
	for _, file := range []string{"klp-audit.rules.yml", "klp-audit.dashboard.json"} {
		text, err := os.ReadFile("../docs/monitoring/" + file)
		storetest.Check(t, err)
		for _, asked := range name.FindAllString(string(text), -1) {
			if !known[asked] {
				t.Errorf("%s asks for %s", file, asked)
			}
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(text) {
			t.Errorf("%s is no JSON", file)
		}
	}
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not here")
	}
	if out, err := exec.Command(tool, "check", "rules", "../docs/monitoring/klp-audit.rules.yml").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
