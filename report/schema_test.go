package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

// schema is as much of JSON Schema (draft 2020-12) as the published ones use.
type schema struct {
	Dialect     string             `json:"$schema"`
	Title       string             `json:"title"`
	Description string             `json:"description"`
	Defs        map[string]*schema `json:"$defs"`
	Ref         string             `json:"$ref"`
	Type        any                `json:"type"`
	Const       any                `json:"const"`
	Enum        []any              `json:"enum"`
	AnyOf       []*schema          `json:"anyOf"`
	Properties  map[string]*schema `json:"properties"`
	Required    []string           `json:"required"`
	Additional  *bool              `json:"additionalProperties"`
	Items       *schema            `json:"items"`
	Pattern     string             `json:"pattern"`
	Format      string             `json:"format"`
	Minimum     *float64           `json:"minimum"`
}

// schemas are the published ones by file name.
type schemas map[string]*schema

func readSchemas(t *testing.T) schemas {
	t.Helper()
	all := schemas{}
	for _, name := range []string{"history-1.json", "status-1.json", "verify-1.json", "boots-1.json", "initrd-1.json", "observation-1.json", "compliance-1.json", "exceptions-1.json", "report-1.json", "state-1.json", "cve-1.json", "config-1.json"} {
		b, err := os.ReadFile(filepath.Join("schema", name))
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields() // a keyword that is not checked would be a promise in vain
		if err := d.Decode(all.add(name)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return all
}

func (all schemas) add(name string) *schema {
	all[name] = &schema{}
	return all[name]
}

// check returns what is wrong with a value; file is where s stands.
func (all schemas) check(file string, s *schema, at string, v any) (wrong []string) {
	complain := func(format string, args ...any) {
		wrong = append(wrong, at+": "+fmt.Sprintf(format, args...))
	}
	if s.Ref != "" {
		to, pointer, _ := strings.Cut(s.Ref, "#/$defs/")
		if to == "" {
			to = file
		}
		return all.check(to, all[to].Defs[pointer], at, v)
	}
	if s.AnyOf != nil {
		return all.checkAny(file, s, at, v)
	}
	if s.Type != nil && !slices.Contains(typeNames(s.Type), typeOf(v)) {
		complain("%v is %s, want %v", v, typeOf(v), s.Type)
	}
	if s.Const != nil && v != s.Const || s.Enum != nil && !slices.Contains(s.Enum, v) {
		complain("%v, want %v%v", v, s.Const, s.Enum)
	}
	if text, ok := v.(string); ok && !regexp.MustCompile(s.Pattern).MatchString(text) {
		complain("%q does not match %s", text, s.Pattern)
	}
	if n, ok := v.(float64); ok && s.Minimum != nil && n < *s.Minimum {
		complain("%v is too small", n)
	}
	if list, ok := v.([]any); ok && s.Items != nil {
		for i, item := range list {
			wrong = append(wrong, all.check(file, s.Items, fmt.Sprintf("%s[%d]", at, i), item)...)
		}
	}
	if object, ok := v.(map[string]any); ok {
		wrong = append(wrong, all.checkObject(file, s, at, object)...)
	}
	return wrong
}

func (all schemas) checkAny(file string, s *schema, at string, v any) (wrong []string) {
	for _, one := range s.AnyOf {
		w := all.check(file, one, at, v)
		if w == nil {
			return nil
		}
		wrong = append(wrong, w...)
	}
	return wrong
}

func (all schemas) checkObject(file string, s *schema, at string, object map[string]any) (wrong []string) {
	for _, key := range s.Required {
		if _, ok := object[key]; !ok {
			wrong = append(wrong, at+": no key "+key)
		}
	}
	if s.Properties == nil && s.Additional != nil && *s.Additional {
		return wrong // a map
	}
	for key, v := range object {
		property, ok := s.Properties[key]
		if !ok {
			wrong = append(wrong, at+": undocumented key "+key)
			continue
		}
		wrong = append(wrong, all.check(file, property, at+"."+key, v)...)
	}
	return wrong
}

func typeNames(t any) (names []string) {
	if one, ok := t.(string); ok {
		return []string{one}
	}
	for _, name := range t.([]any) {
		names = append(names, name.(string))
	}
	return names
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
	}
	return reflect.TypeOf(v).String()
}

// Whoever reads JSON relies on the published schemas.
func TestOutputFollowsSchema(t *testing.T) {
	all := readSchemas(t)
	validate := func(what, file, output string) {
		t.Helper()
		var v any
		if err := json.Unmarshal([]byte(output), &v); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for _, wrong := range all.check(file, all[file], "", v) {
			t.Errorf("%s: %s", what, wrong)
		}
	}
	for name, input := range inputs(t) {
		validate(name, "history-1.json", input.render(t, "json", Style{}))
		st := Status{Schema: StatusSchema, Record: &input.Summary}
		validate(name+" without rows", "status-1.json", writtenObject(t, &st))
		for _, row := range input.Rows {
			st.Kernel, st.LivePatch = row, row
			validate(name+" with a row", "status-1.json", writtenObject(t, &st))
		}
	}
	validate("no record", "status-1.json", writtenObject(t, &Status{Schema: StatusSchema}))
	for _, v := range []proof.Verification{
		{Result: proof.Intact, TreeSize: 1, FirstTime: new(record.At(testNow)), Problems: []string{}, Keys: []proof.KeyInLog{{Key: "a", Event: 1}, {Key: "b", Event: 2, Signed: new(true)}}},
		{Result: proof.Altered, Problems: []string{"damaged"}},
	} {
		var b strings.Builder
		if err := Write(&b, &Verified{&v}, "json", Style{}); err != nil {
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
		if err := Write(&b, &Boots{j}, "json", Style{}); err != nil {
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
		if err := Write(&b, &InitrdVerdict{v, true}, "json", Style{}); err != nil {
			t.Fatal(err)
		}
		checkAgainst(t, all, "initrd-1.json", b.String())
	}
}

func checkAgainst(t *testing.T, all schemas, file, output string) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(output), &v); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range all.check(file, all[file], "", v) {
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

func checkClosed(t *testing.T, at string, s *schema) {
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
	if s.Properties != nil && (s.Additional == nil || *s.Additional) {
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
