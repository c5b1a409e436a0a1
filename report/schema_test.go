package report

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report/table"
)

func readSchemas(t *testing.T) schematest.Set {
	t.Helper()
	return schematest.Read(t, os.DirFS("schema"))
}

// Whoever reads JSON relies on the published schemas.
func TestOutputFollowsSchema(t *testing.T) {
	all := readSchemas(t)
	validate := func(what, file, output string) {
		t.Helper()
		for _, wrong := range all.Check(file, []byte(output)) {
			t.Errorf("%s: %s", what, wrong)
		}
	}
	for name, input := range inputs(t) {
		validate(name, "history-1.json", input.render(t, "json", table.Style{}))
		st := Status{Schema: StatusSchema, Record: &input.Summary}
		validate(name+" without rows", "status-1.json", writtenObject(t, &st))
		for _, row := range input.Rows {
			st.Kernel, st.LivePatch = row, row
			validate(name+" with a row", "status-1.json", writtenObject(t, &st))
		}
	}
	validate("no record", "status-1.json", writtenObject(t, &Status{Schema: StatusSchema}))
	for _, v := range []proof.Verification{
		{Result: proof.Intact, TreeSize: 1, FirstTime: new(record.At(testNow)), Problems: []string{}, Keys: []record.VerifiedKey{{Key: "a", Event: 1}, {Key: "b", Event: 2, Signed: new(true)}}},
		{Result: proof.Altered, Problems: []string{"damaged"}},
	} {
		var b strings.Builder
		if err := Write(&b, &Verified{Verification: &v}, "json", table.Style{}); err != nil {
			t.Fatal(err)
		}
		validate(string(v.Result), "verify-1.json", b.String())
	}
}

func TestBootsAndInitrdFollowTheirSchemas(t *testing.T) {
	all := readSchemas(t)
	at := record.At(testNow)
	boot := record.Boot{
		ID: strings.Repeat("0", 32), KernelRelease: "k", First: at, Last: at,
		Loads:  []record.Load{{Patch: "p\x1b", Phase: "initrd", Rule: "R1", Result: "complete", Time: at, Cursor: "c"}},
		Builds: []record.Build{{KernelRelease: "k", Image: "/i", Modules: []string{"m"}, Success: true, Time: at, Cursor: "c"}},
	}
	bare := record.Boot{ID: strings.Repeat("1", 32), First: at, Last: at, Loads: []record.Load{}, Builds: []record.Build{}}
	bare.Incomplete = true
	for _, j := range []record.Journal{
		{Boots: []record.Boot{}, Unread: []record.UnreadFile{}},
		{Boots: []record.Boot{boot, bare}, Unread: []record.UnreadFile{{Path: "/j/system.journal", Why: "damaged"}}},
	} {
		var b strings.Builder
		if err := Write(&b, &Boots{j}, "json", table.Style{}); err != nil {
			t.Fatal(err)
		}
		checkAgainst(t, all, "boots-1.json", b.String())
	}
	for _, v := range []record.Initrd{
		{Verdict: record.VerdictUnknown, Reason: record.ReasonNoPatch, Evidence: []record.Evidence{}},
		{KernelRelease: "k", Patch: "p", Verdict: record.VerdictContained, Basis: record.BasisImage, Evidence: []record.Evidence{
			{Says: "s", Time: &at, BootID: "b", Cursor: "c", Message: "m", Path: "/i", Size: 1, SHA256: "h"}, {Says: "s"},
		}},
	} {
		var b strings.Builder
		if err := Write(&b, &InitrdVerdict{v, true}, "json", table.Style{}); err != nil {
			t.Fatal(err)
		}
		checkAgainst(t, all, "initrd-1.json", b.String())
	}
}

func checkAgainst(t *testing.T, all schematest.Set, file, output string) {
	t.Helper()
	for _, wrong := range all.Check(file, []byte(output)) {
		t.Errorf("%s: %s", file, wrong)
	}
}

func writtenObject(t *testing.T, v any) string {
	t.Helper()
	var b strings.Builder
	if err := WriteObject(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Every object has all its keys always; only filters name just what was asked for, and a
// package is as it is recorded, for ever.
func TestSchemasAreClosed(t *testing.T) {
	for file, s := range readSchemas(t) {
		checkClosed(t, file, s)
	}
}

func checkClosed(t *testing.T, at string, s *schematest.Schema) {
	t.Helper()
	if s == nil {
		return
	}
	for name, d := range s.Defs {
		checkClosed(t, at+"#"+name, d)
	}
	for name, p := range s.Properties {
		checkClosed(t, at+"."+name, p)
		if !slices.Contains(s.Required, name) && !strings.HasSuffix(at, ".filters") && !strings.HasSuffix(at, "#package") {
			t.Errorf("%s: %s is not required", at, name)
		}
	}
	if s.Properties != nil && (s.Additional == nil || !s.Additional.Never) {
		t.Errorf("%s: other keys are allowed", at)
	}
}

// The fields of a history are those of its schema.
func TestSchemaOfHistoryFields(t *testing.T) {
	row := readSchemas(t)["history-1.json"].Defs["row"].Properties
	want := slices.Concat(slices.Collect(maps.Keys(row)), slices.Collect(maps.Keys(row["actor"].Properties)))
	got := []string{"actor"}
	for _, f := range record.HistoryFields() {
		got = append(got, f.Name)
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("a history has %q,\nthe schema has %q", got, want)
	}
}

// The closed sets in the schemas are those of the program.
func TestSchemaSets(t *testing.T) {
	row := readSchemas(t)["history-1.json"].Defs["row"].Properties
	if got, want := fmt.Sprint(row["result"].Enum), fmt.Sprint(record.Results()); got != want {
		t.Errorf("results are %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(row["kind"].Enum), fmt.Sprint(record.PackageKinds()); got != want {
		t.Errorf("kinds are %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(row["action"].Enum), fmt.Sprint(record.Actions()); got != want {
		t.Errorf("actions are %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(row["outcome"].Enum), fmt.Sprint(append(anys(record.Outcomes()), nil)); got != want {
		t.Errorf("outcomes are %s, want %s", got, want)
	}
}

func anys[T any](values []T) (list []any) {
	for _, v := range values {
		list = append(list, v)
	}
	return list
}

// Whatever is asked for, the provenance says it in a key that the schema has.
func TestSchemaOfFilters(t *testing.T) {
	window, err := record.ParseWindow("Sat 02:00-06:00", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	p := storyProvenance("history")
	p.ask(record.HistoryFilter{Package: "a", Kind: "a", Action: "a", Result: "a", Source: "a", User: "a", Command: "a", UserData: "a", Outcome: "a", Outside: window, Limit: 1})
	known := readSchemas(t)["history-1.json"].Defs["provenance"].Properties["filters"].Properties
	for _, name := range append(slices.Collect(maps.Keys(p.Filters)), "at", "known_at", "cve", "profile", "lists") {
		if known[name] == nil {
			t.Errorf("filters lack %q", name)
		}
	}
	if len(p.Filters) != 11 {
		t.Errorf("%d filters are noted", len(p.Filters))
	}
}
