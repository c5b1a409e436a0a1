package report

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report/table"
)

// The warning is the first line wherever there is one, and says what it is about.
func TestWarning(t *testing.T) {
	for _, tt := range []struct {
		in   *audit.Input
		want string
	}{
		{nil, ""},
		{&audit.Input{File: "x", Result: proof.Intact}, ""},
		{&audit.Input{File: "x", Result: proof.Altered}, `ALTERED: "x" is not as it was signed. What follows is what it says, and proves nothing.`},
		{&audit.Input{File: "x", Result: proof.Truncated, Problems: []string{"the last line has no end."}},
			`TRUNCATED: the end of "x" is missing: the last line has no end. What follows is what it says, and proves nothing.`},
		{&audit.Input{File: "x", Result: proof.Altered, Problems: []string{"a", "b", "c"}},
			`ALTERED: "x" is not as it was signed: a, and 2 more problems. What follows is what it says, and proves nothing.`},
	} {
		if got := tt.in.Warning(); got != tt.want {
			t.Errorf("%+v: %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

// On a page the warning comes before all else that is seen, and nothing says that the record is intact.
func TestAlteredPage(t *testing.T) {
	page := renderFull(t, altered(), "html", table.Style{})
	checkPage(t, "altered", page)
	_, body, _ := strings.Cut(page, "<body")
	if _, rest, _ := strings.Cut(body, ">\n"); !strings.HasPrefix(rest, `<p class="warning" role="alert"><strong>ALTERED: `) {
		t.Errorf("the page begins with %.200s", rest)
	}
	for _, lie := range []string{"found intact", "intact at the last", `<div class="verdict pass">`} {
		if strings.Contains(page, lie) {
			t.Errorf("the page says %s", lie)
		}
	}
}

// What is not intact fails its check first, and whatever else is asked for.
func TestDistrust(t *testing.T) {
	in := &audit.Input{File: "x", Result: proof.Truncated}
	c := troubled(t)
	c.Distrust(nil)
	if c.Checks[0].ID == compliance.IntegrityID {
		t.Error("integrity fails without a reason")
	}
	c.Distrust(in)
	for _, c := range []*compliance.Summary{c, c.Only([]string{"clock"}, false), c.Only([]string{compliance.IntegrityID}, true)} {
		if r := c.Checks[0]; r.ID != compliance.IntegrityID || r.Result != compliance.Fail || c.Verdict != compliance.Fail {
			t.Errorf("the first check is %s, %s; the verdict %s", r.ID, r.Result, c.Verdict)
		}
	}
}

// Scanners drop findings by an OpenVEX document, and nobody reads it before.
func TestNoVEXOfAltered(t *testing.T) {
	p := &Provenance{Input: &audit.Input{File: "x", Result: proof.Altered}}
	var b bytes.Buffer
	if err := Write(&b, NewCVEs(nil, &audit.State{}, p), "openvex", table.Style{}); !errors.Is(err, ErrDistrusted) || b.Len() > 0 {
		t.Errorf("%v, and %q", err, b.String())
	}
}

func TestMetricsOfAltered(t *testing.T) {
	c := troubled(t)
	c.Distrust(&audit.Input{File: `a\b"c`, Result: proof.Altered, Problems: []string{"event 3\nis another one"}})
	got := metricsOf(t, c, &audit.State{}, &record.Summary{})
	if !strings.HasPrefix(got, "# HELP klp_audit_history_verify_ok ALTERED: ") {
		t.Errorf("it begins with %.200s", got)
	}
	checkExposition(t, got)
	checkWithPromtool(t, got)
}
