package record

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asType decodes the text of a part strictly into its type, and encodes it again.
type asType func(text []byte) (v any, again []byte, err error)

func typed[T PartType]() (PartName, asType) {
	return PartNameOf[T](), func(text []byte) (any, []byte, error) {
		var v T
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&v); err != nil {
			return v, nil, err
		}
		o := &Observation{}
		if err := SetPart(o, v); err != nil {
			return v, nil, err
		}
		var again bytes.Buffer
		err := json.Indent(&again, o.Parts[PartNameOf[T]()], "", "  ")
		again.WriteByte('\n')
		return v, again.Bytes(), err
	}
}

func partTypes() map[PartName]asType {
	types := map[PartName]asType{}
	add := func(name PartName, as asType) { types[name] = as }
	add(typed[Taint]())
	add(typed[Coverage]())
	add(typed[Blockers]())
	add(typed[Locks]())
	add(typed[Signatures]())
	add(typed[Entitlement]())
	add(typed[Clock]())
	add(typed[JournalStorage]())
	add(typed[OwnFiles]())
	add(typed[System]())
	add(typed[Warnings]())
	add(typed[Advisories]())
	add(typed[Repositories]())
	add(typed[RepositoriesRead]())
	add(typed[Verified]())
	add(typed[HistoryComparison]())
	return types
}

// Records on disk keep their keys: there is an example of each part with every key it can have. A
// key that is renamed, added or removed in a type makes this test fail.
func TestPartsHaveThePublishedForm(t *testing.T) {
	types := partTypes()
	for _, name := range PartNames() {
		text, err := os.ReadFile(filepath.Join("testdata/parts", string(name)+".json"))
		if err != nil {
			t.Fatal(err)
		}
		v, again, err := types[name](text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(string(text), string(again)); diff != "" {
			t.Errorf("%s, written again (-want +got):\n%s", name, diff)
		}
		filled := map[string]bool{}
		fill(filled, string(name), reflect.ValueOf(v))
		for field, is := range filled {
			if !is {
				t.Errorf("the example has no value for %s", field)
			}
		}
	}
}

// fill notes which fields have a value somewhere in an example.
func fill(filled map[string]bool, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fill(filled, path, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(filled, path, v.Index(i))
		}
	case reflect.Struct:
		if _, isTime := v.Interface().(interface{ UnixMicro() int64 }); isTime {
			return
		}
		for i := range v.NumField() {
			field := path + "." + v.Type().Field(i).Name
			filled[field] = filled[field] || !v.Field(i).IsZero()
			fill(filled, field, v.Field(i))
		}
	}
}

// Each part has one type, and each type one part; each part has exactly one example.
func TestPartNames(t *testing.T) {
	names := PartNames()
	if len(partTypes()) != len(names) {
		t.Errorf("%d types, %d names", len(partTypes()), len(names))
	}
	files, err := filepath.Glob("testdata/parts/*")
	if err != nil || len(files) != len(names) {
		t.Errorf("%d examples, %d names, %v", len(files), len(names), err)
	}
	for i, name := range names {
		if partTypes()[name] == nil || slices.Contains(names[:i], name) {
			t.Errorf("%q has no type, or appears twice", name)
		}
	}
}

// The page that describes the record names each part and every key of it.
func TestPartsAreDescribed(t *testing.T) {
	page, err := os.ReadFile("../docs/record.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Parts of an observation\n")
	section, _, _ = strings.Cut(section, "\n## ")
	described := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|(.*)$").FindAllStringSubmatch(section, -1) {
		described[row[1]] = row[2]
	}
	if len(described) != len(PartNames()) {
		t.Errorf("%d parts are described, of %d", len(described), len(PartNames()))
	}
	for _, name := range PartNames() {
		text, err := os.ReadFile(filepath.Join("testdata/parts", string(name)+".json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range regexp.MustCompile(`(?m)^ *"([a-z0-9_]+)":`).FindAllSubmatch(text, -1) {
			if !strings.Contains(described[string(name)], "`"+string(key[1])+"`") {
				t.Errorf("%s: %s is not described", name, key[1])
			}
		}
	}
}

// A part that an observation lacks is not known; one of another form is an error; null says
// nothing.
func TestReadPart(t *testing.T) {
	for text, want := range map[string]struct {
		known, fails bool
		date         string
	}{
		``:                         {},
		`{"date":"2026-03-31"}`:    {known: true, date: "2026-03-31"},
		`null`:                     {known: true},
		`{"date":"x","another":1}`: {known: true, date: "x"}, // from a later version
		`[]`:                       {known: true, fails: true},
	} {
		o := &Observation{Parts: map[PartName]json.RawMessage{}}
		if text != "" {
			o.Parts[PartCoverage] = json.RawMessage(text)
		}
		got, known, err := ReadPart[Coverage](o)
		if known != want.known || (err != nil) != want.fails || got.Date != want.date {
			t.Errorf("%s: %+v, known %t, %v", text, got, known, err)
		}
		if text == "" {
			continue
		}
		part := Part[Coverage]{JSON: o.Parts[PartCoverage]}
		if got, err := part.Value(); (err != nil) != want.fails || got.Date != want.date {
			t.Errorf("%s on record: %+v, %v", text, got, err)
		}
	}
}

func TestDayOfCoverage(t *testing.T) {
	for date, want := range map[string]bool{"2026-03-31": true, "soon": false, "": false} {
		if day, ok := (Coverage{Date: date}).Day(); ok != want || ok && day.Month() != 3 {
			t.Errorf("%q: %v, %t", date, day, ok)
		}
	}
}

// Two parts can be read even if another program wrote the rest of them differently.
func TestPartsOfAnotherForm(t *testing.T) {
	o := &Observation{Parts: map[PartName]json.RawMessage{PartCoverage: []byte(`{"date":"2026-03-31","line":"none"}`)}}
	if got := o.CoveredUntil(); got != "2026-03-31" {
		t.Errorf("covered until %q", got)
	}
	result, problems := FoundBy(&RawPart{JSON: []byte(`{"result":"altered","problems":["event 3"],"first_time":7}`)})
	if result != "altered" || len(problems) != 1 {
		t.Errorf("found %q, %q", result, problems)
	}
}

// A part of another form is refused in plain words that name the key.
func TestPartOfAnotherForm(t *testing.T) {
	for text, want := range map[string]string{
		`[1]`:                         `found list, want object`,
		`"x"`:                         `found text, want object`,
		`{"count":"5"}`:               `key "count": found text, want integer`,
		`{"count":1.5}`:               `key "count": found number 1.5, want integer`,
		`{"count":{}}`:                `key "count": found object, want integer`,
		`{"messages":true}`:           `key "messages": found boolean, want list`,
		`{"messages":["x"]}`:          `key "messages": found text, want object`,
		`{"messages":[{"text":1}]}`:   `key "messages.text": found number, want text`,
		`{"since":5}`:                 `key "since": found 5, want time`,
		`{"messages":[{"time":"x"}]}`: `key "messages.time": found "x", want time`,
	} {
		o := &Observation{Parts: map[PartName]json.RawMessage{PartWarnings: json.RawMessage(text)}}
		_, known, err := ReadPart[Warnings](o)
		_, again := (&Part[Warnings]{JSON: json.RawMessage(text)}).Value()
		if !known || err == nil || err.Error() != want || again == nil || again.Error() != want {
			t.Errorf("%s: got %v and %v, want %s", text, err, again, want)
		}
	}
	if _, _, err := ReadPart[Blockers](&Observation{Parts: map[PartName]json.RawMessage{PartBlockers: json.RawMessage(`{}`)}}); err == nil || err.Error() != "found object, want list" {
		t.Errorf("got %v", err)
	}
}
