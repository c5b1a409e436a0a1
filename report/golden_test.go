package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden are the renderings of every history in testdata, by the ending of their files.
var golden = map[string]struct {
	format string
	style  table.Style
}{
	"table80":     {"table", table.Style{}},
	"table120":    {"table", table.Style{Width: 120}},
	"table200":    {"table", table.Style{Width: 200}},
	"table-color": {"table", table.Style{Width: 100, Color: true}},
	"csv":         {"csv", table.Style{}},
	"jsonl":       {"jsonl", table.Style{}},
	"json":        {"json", table.Style{}},
}

// recorded is a history as testdata holds it: the rows in the published form.
type recorded struct {
	Filter  record.HistoryFilter
	Summary record.Summary
	Input   *audit.Input
	Rows    []*record.HistoryRow
}

func (r *recorded) history(format string) *History {
	h := NewHistory(r.Filter, format, NewProvenance("history", "1.0.0", testNow, &r.Summary))
	h.Provenance.Input = r.Input
	h.Rows = func(yield func(*record.HistoryRow, error) bool) {
		for i, row := range r.Rows {
			if i == h.Filter.Limit && i > 0 || !yield(row, nil) {
				return
			}
		}
	}
	return h
}

func (r *recorded) render(t *testing.T, format string, style table.Style) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r.history(format), format, style); err != nil {
		t.Fatalf("rendering as %s: %v", format, err)
	}
	return b.String()
}

var testNow = time.Date(2026, 11, 23, 9, 30, 0, 0, time.FixedZone("", 3600))

// inputs returns the histories of testdata by name.
func inputs(t *testing.T) map[string]*recorded {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.in.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	all := map[string]*recorded{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var r recorded
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[strings.TrimSuffix(path, ".in.json")] = &r
	}
	return all
}

func TestGolden(t *testing.T) {
	for name, input := range inputs(t) {
		for ending, g := range golden {
			path := name + "." + ending
			t.Run(filepath.Base(path), func(t *testing.T) { compareGolden(t, path, input.render(t, g.format, g.style)) })
		}
	}
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestTableFitsAndIsPlain(t *testing.T) {
	for name, input := range inputs(t) {
		for _, width := range []int{60, 80, 132, 200} {
			checkPlain(t, name, input.render(t, "table", table.Style{Width: width}), width)
		}
	}
}

func checkPlain(t *testing.T, name, table string, width int) {
	t.Helper()
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if w := twwidth.Width(line); w > width {
			t.Errorf("%s: %d columns, want %d: %q", name, w, width, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("%s: blanks at the end of %q", name, line)
		}
		if i := strings.IndexFunc(line, unwanted); i >= 0 {
			t.Errorf("%s: unwanted character at %d of %q", name, i, line)
		}
	}
}

// unwanted is what no line of a table in a pipe holds: what is not printed, and drawing.
func unwanted(r rune) bool {
	return !unicode.IsPrint(r) || r == utf8.RuneError || r >= 0x2500 && r <= 0x259f
}

// Every format must hold the same rows.
func TestFormatsHoldTheSameRows(t *testing.T) {
	for name, input := range inputs(t) {
		records, err := csv.NewReader(strings.NewReader(input.render(t, "csv", table.Style{}))).ReadAll()
		if err != nil {
			t.Fatalf("%s: reading CSV: %v", name, err)
		}
		var whole struct{ Rows []json.RawMessage }
		if err := json.Unmarshal([]byte(input.render(t, "json", table.Style{})), &whole); err != nil {
			t.Fatalf("%s: reading JSON: %v", name, err)
		}
		var lines []json.RawMessage
		for line := range strings.Lines(input.render(t, "jsonl", table.Style{})) {
			lines = append(lines, json.RawMessage(strings.TrimSuffix(line, "\n")))
		}
		if input.Input.Warning() != "" { // before the rows
			records, lines = records[1:], lines[1:]
		}
		if diff := cmp.Diff(whole.Rows, lines, cmp.Transformer("text", func(m json.RawMessage) string { return string(m) })); len(lines) > 0 && diff != "" {
			t.Errorf("%s: JSON and JSON Lines differ:\n%s", name, diff)
		}
		if len(records) != 1+len(input.Rows) || len(lines) != len(input.Rows) {
			t.Errorf("%s: %d records and %d lines of %d rows", name, len(records)-1, len(lines), len(input.Rows))
		}
		checkRecords(t, name, records, input.Rows)
	}
}

func checkRecords(t *testing.T, name string, records [][]string, rows []*record.HistoryRow) {
	t.Helper()
	for i, row := range rows {
		record := map[string]string{}
		for c, cell := range records[i+1] {
			record[records[0][c]] = cell
			if strings.ContainsFunc(cell, unwanted) || cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
				t.Errorf("%s: row %d has the cell %q", name, i, cell)
			}
		}
		if got, want := record["event"]+" "+record["time"], eventTime(t, row); got != want {
			t.Errorf("%s: row %d is %q, want %q", name, i, got, want)
		}
	}
}
func eventTime(t *testing.T, row *record.HistoryRow) string {
	t.Helper()
	var keys struct {
		Event json.Number
		Time  string
	}
	b, _ := json.Marshal(row)
	if err := json.Unmarshal(b, &keys); err != nil {
		t.Fatal(err)
	}
	return keys.Event.String() + " " + keys.Time
}
