package record_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/schema"
)

// Bodies are kept for ever: what 0.1.0 wrote follows the schemas, and so do the events in
// docs/record.md.
func TestKeptEventsFollowTheSchemas(t *testing.T) {
	exports, err := filepath.Glob("../docs/vectors/*.jsonl")
	if err != nil || len(exports) == 0 {
		t.Fatalf("%q, %v", exports, err)
	}
	n := 0
	for _, name := range append(exports, "../cmd/klp-audit/testdata/0.1.0/record.jsonl.zst") {
		bodies := schematest.Bodies(unpacked(t, name))
		n += len(bodies)
		schematest.Events(t, bodies...)
	}
	if n < 600 {
		t.Errorf("%d events", n)
	}
}

func unpacked(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err == nil && strings.HasSuffix(name, ".zst") {
		var r *zstd.Decoder
		if r, err = zstd.NewReader(nil); err == nil {
			defer r.Close()
			b, err = r.DecodeAll(b, nil)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each kind needs its own payload, and only that.
func TestKindNamesItsKey(t *testing.T) {
	all := schematest.Read(t, schema.Files)
	for _, kind := range sets(t, ".")["EventKind"] {
		body := fmt.Sprintf(`{"v":1,"kind":%q,"id":"a","time":"2026-03-01T12:00:00.000001Z","utc_offset":"","boottime_us":0,`+
			`"host":{"machine_id":"","hostname":""},"boot_id":"","recorder":{"program":"","version":""}}`, kind)
		if wrong := all.Check("event-1.json", []byte(body)); len(wrong) == 0 {
			t.Errorf("an event of kind %s is accepted without its payload", kind)
		}
		if _, err := record.Decode([]byte(body)); err == nil {
			t.Errorf("an event of kind %s is read without what it is about", kind)
		}
	}
}

// later are keys that this program always writes, but the first release did not.
var later = []string{"load.completed", "load.reverted_at"}

// foreign are sets of plain strings whose words belong to other packages.
func foreign(t *testing.T) map[string][]string {
	sets := map[string][]string{
		"package.kind": texts(record.PackageKinds()), "change.kind": texts(record.PackageKinds()), "change.action": texts(record.Actions()),
		"change.step": {"+", "-", "M"}, "change.stage": {"ok", "err"}, // libzypp's
		"load.rule": {"R1", "R2", "R3", "R4", ""},
	}
	for _, name := range []string{"kind", "action", "step", "stage"} {
		sets["importedchange."+name] = sets["change."+name]
	}
	return sets
}

// The schemas and the types agree: on each key, its type, whether it is always there, and the words
// of each closed set.
func TestSchemasAreThoseOfTheTypes(t *testing.T) {
	w := walk{T: t, schemas: schematest.Read(t, schema.Files), sets: sets(t, "."), foreign: foreign(t), seen: map[string]bool{}}
	w.object("event-1.json", w.schemas["event-1.json"], reflect.TypeFor[record.Event]())
	for name := range w.foreign {
		if !w.seen[name] {
			t.Errorf("nothing has the set of %s", name)
		}
	}
	for file := range w.schemas {
		if file != "common-1.json" && !w.seen[file] {
			t.Errorf("nothing refers to %s", file)
		}
	}
}

// walk goes through schemas and types in step.
type walk struct {
	*testing.T
	schemas schematest.Set
	sets    map[string][]string // by type
	foreign map[string][]string // by type and key
	seen    map[string]bool
}

func (w *walk) object(file string, s *schematest.Schema, typ reflect.Type) {
	w.Helper()
	w.seen[file] = true
	if s.Additional != nil {
		w.Errorf("%s: %s: a reader must ignore keys that it does not know", file, typ.Name())
	}
	fields := fieldsOf(typ)
	for key := range s.Properties {
		if fields[key] == nil {
			w.Errorf("%s: %s has no key %s", file, typ, key)
		}
	}
	for key, f := range fields {
		at := strings.ToLower(typ.Name()) + "." + key
		p := s.Properties[key]
		if p == nil {
			w.Errorf("%s: %s is not described", file, at)
			continue
		}
		always := !f.optional && !slices.Contains(later, at)
		if always != slices.Contains(s.Required, key) {
			w.Errorf("%s: %s: required is %t, want %t", file, at, !always, always)
		}
		w.value(file, p, at, f.Type, !f.optional)
	}
}

// value compares a schema with the type of a value. null says whether a missing value is written as
// null.
func (w *walk) value(file string, s *schematest.Schema, at string, typ reflect.Type, null bool) {
	w.Helper()
	if s.Description == "" && s.Ref == "" && !strings.HasSuffix(at, "[]") {
		w.Errorf("%s: %s has no description", file, at)
	}
	if s.AnyOf != nil { // a thing or null
		w.nullable(file, at, []string{"null"}, s.AnyOf[1].Type == "null" && null && typ.Kind() == reflect.Pointer)
		s = s.AnyOf[0]
	} else if s.Ref == "" {
		w.nullable(file, at, s.Types(), null && canBeNull(typ))
	}
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	file, s = w.schemas.Resolve(file, s)
	w.words(file, s, at, typ)
	if want := typeName(typ); s.Const == nil && want != "" && !slices.Contains(s.Types(), want) {
		w.Errorf("%s: %s is %v, want %s", file, at, s.Types(), want)
	}
	switch {
	case typ == reflect.TypeFor[record.Timestamp]():
		if s.Format != "date-time" || s.Pattern == "" {
			w.Errorf("%s: %s is a time", file, at)
		}
	case typ.Kind() == reflect.Struct:
		w.object(file, s, typ)
	case typ.Kind() == reflect.Slice && typ != reflect.TypeFor[json.RawMessage]():
		w.value(file, s.Items, at+"[]", typ.Elem(), false)
	case typ.Kind() == reflect.Map:
		w.value(file, s.Additional, at+"[]", typ.Elem(), true)
	}
}

func (w *walk) nullable(file, at string, types []string, want bool) {
	w.Helper()
	if slices.Contains(types, "null") != want {
		w.Errorf("%s: %s: null is allowed: %t, want %t", file, at, !want, want)
	}
}

// words compares an enum with the closed set of a type.
func (w *walk) words(file string, s *schematest.Schema, at string, typ reflect.Type) {
	w.Helper()
	want, closed := w.foreign[at]
	w.seen[at] = true
	if !closed && typ.Kind() == reflect.String {
		want = w.sets[typ.Name()]
	}
	var got []string
	for _, word := range s.Enum {
		if word != nil {
			got = append(got, word.(string))
		}
	}
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		w.Errorf("%s: %s is one of %q, want %q", file, at, got, want)
	}
}

// canBeNull says whether a value without omitempty may be written as null.
func canBeNull(typ reflect.Type) bool {
	return slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map}, typ.Kind()) && typ != reflect.TypeFor[json.RawMessage]() ||
		typ == reflect.TypeFor[record.Basis]() || typ == reflect.TypeFor[record.Reason]()
}

// typeName is JSON's name for a Go type; empty: any.
func typeName(typ reflect.Type) string {
	switch {
	case typ == reflect.TypeFor[json.RawMessage]():
		return ""
	case typ == reflect.TypeFor[record.Timestamp]():
		return "string"
	}
	switch typ.Kind() {
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.Slice:
		return "array"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	}
	return "integer"
}

type field struct {
	reflect.Type
	optional bool // it may be absent
}

// fieldsOf returns the fields of a type by their keys; its own hide those of a type that it embeds.
func fieldsOf(typ reflect.Type) map[string]*field {
	fields := map[string]*field{}
	for _, embedded := range []bool{true, false} {
		for i := range typ.NumField() {
			f := typ.Field(i)
			switch key, option, _ := strings.Cut(f.Tag.Get("json"), ","); {
			case f.Anonymous != embedded:
			case embedded:
				for key, inner := range fieldsOf(f.Type) {
					fields[key] = inner
				}
			default:
				fields[key] = &field{f.Type, option == "omitempty"}
			}
		}
	}
	return fields
}

// sets returns the closed sets of a package: the constants of each string type.
func sets(t *testing.T, dir string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", dir, err)
	}
	sets := map[string][]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if consts, ok := d.(*ast.GenDecl); ok && consts.Tok == token.CONST {
				addWords(sets, consts)
			}
		}
	}
	return sets
}

func addWords(sets map[string][]string, consts *ast.GenDecl) {
	for _, spec := range consts.Specs {
		v := spec.(*ast.ValueSpec)
		typ, named := v.Type.(*ast.Ident)
		if !named || len(v.Values) != 1 {
			continue
		}
		if text, ok := v.Values[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
			word, _ := strconv.Unquote(text.Value)
			sets[typ.Name] = append(sets[typ.Name], word)
		}
	}
}

func texts[T ~string](values []T) (texts []string) {
	for _, v := range values {
		texts = append(texts, string(v))
	}
	return texts
}
