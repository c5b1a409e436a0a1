package report

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report/table"
)

// Colours change nothing but colours.
func TestColor(t *testing.T) {
	sgr := regexp.MustCompile(`\x1b\[[0-9;]*m`)
	for name, input := range inputs(t) {
		for _, width := range []int{80, 200} {
			plain := input.render(t, "table", table.Style{Width: width})
			colored := input.render(t, "table", table.Style{Width: width, Color: true})
			if diff := cmp.Diff(plain, sgr.ReplaceAllString(colored, "")); diff != "" {
				t.Errorf("%s, %d columns (-plain +coloured):\n%s", name, width, diff)
			}
		}
	}
}

// An error while rows are read or written is an error of the report.
func TestWriteErrors(t *testing.T) {
	broken := errors.New("broken")
	input := inputs(t)["testdata/usual"]
	for _, format := range Formats(&History{}) {
		h := input.history(format)
		h.Rows = func(yield func(*record.HistoryRow, error) bool) {
			if yield(input.Rows[0], nil) {
				yield(nil, broken)
			}
		}
		if err := Write(io.Discard, h, format, table.Style{}); !errors.Is(err, broken) {
			t.Errorf("%s: %v, want the error of reading", format, err)
		}
		if err := Write(failing{broken}, input.history(format), format, table.Style{}); !errors.Is(err, broken) {
			t.Errorf("%s: %v, want the error of writing", format, err)
		}
	}
	if err := Write(io.Discard, input.history("xml"), "xml", table.Style{}); err == nil || !strings.Contains(err.Error(), "jsonl") {
		t.Errorf("xml: %v, want an error that names the formats", err)
	}
}

type failing struct{ err error }

// Write implements io.Writer.
func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestProvenanceFilters(t *testing.T) {
	input := inputs(t)["testdata/empty"]
	p := input.history("json").Provenance
	want := map[string]string{"package": "kernel-livepatch-*", "kind": "livepatch", "action": "downgrade", "result": "failed", "user": "tux", "limit": "20"}
	if diff := cmp.Diff(want, p.Filters); diff != "" {
		t.Errorf("filters (-want +got):\n%s", diff)
	}
	if p.Order != "oldest first" || p.Since == nil || p.Until == nil {
		t.Errorf("order %q, since %v, until %v", p.Order, p.Since, p.Until)
	}
}

func TestBy(t *testing.T) {
	unset, none, root, tux, salt := "unset", "", "root", "tux", "salt-minion"
	for _, test := range []struct {
		actor record.RowActor
		want  string
	}{
		{record.RowActor{}, "unset"},
		{record.RowActor{Login: &unset}, "unset"},
		{record.RowActor{Login: &none, Automation: &salt}, "salt-minion"},
		{record.RowActor{Login: &root, Automation: &salt}, "root"},
		{record.RowActor{Login: &root, SudoUser: &tux}, "tux"},
		{record.RowActor{Login: &root, SudoUser: &unset}, "root"},
	} {
		if got := test.actor.Name(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestStatusTable(t *testing.T) {
	input := inputs(t)["testdata/hostile"]
	row := input.Rows[0]
	for _, st := range []*Status{
		{Path: "/a\x1b[2J\nb", Program: "1.0.0"},
		{Path: "/a", Program: "1.0.0", Record: &input.Summary, Waiting: new(2), PluginInstalled: new(true), Kernel: row, LivePatch: row},
	} {
		var b bytes.Buffer
		if err := Write(&b, st, "table", table.Style{}); err != nil {
			t.Fatal(err)
		}
		checkPlain(t, "status", b.String(), 400)
	}
}

func TestVerificationTable(t *testing.T) {
	var b strings.Builder
	v := proof.Verification{Result: proof.Altered, TreeSize: 2, FirstTime: new(record.At(testNow)),
		LastTime: new(record.At(testNow)), RootHash: "abc=", Key: "k\x1b[2J", Problems: []string{"event 1:\n\x1b]0;x\x07"}}
	if err := Write(&b, &Verified{Verification: &v}, "table", table.Style{}); err != nil {
		t.Fatal(err)
	}
	want := `The record is ALTERED: 2 events from 2026-11-23T08:30:00Z to 2026-11-23T08:30:00Z
  event 1:??]0;x?
Root hash  abc=
Key        k?[2J
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
