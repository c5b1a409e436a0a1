package schema_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/schema"
)

var update = flag.Bool("update", false, "rewrite the document")

const document = "../../docs/events.md"

// docs/events.md says what the schemas say, key by key, for each kind of event and for what kinds
// share.
func TestEventsAreDocumented(t *testing.T) {
	want := documented(schematest.Read(t, schema.Files))
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(document); err != nil || string(got) != want {
		t.Errorf("docs/events.md differs from the schemas: run `make man` (%v)", err)
	}
	for _, kind := range record.EventKinds() {
		if !strings.Contains(want, "| [`"+string(kind)+"`](#"+string(kind)+") |") {
			t.Errorf("kind %q is not in docs/events.md", kind)
		}
	}
}

const preface = `# Events

What the body of an event holds, key by key. This is made from the JSON Schemas in ` + "`record/schema`" + ` of the sources, by
` + "`make man`" + `. How events are written, kept and proven is in [record.md](record.md).

| kind | says |
|---|---|
`

func documented(all schematest.Set) string {
	d := &page{all: all}
	for _, kind := range all["event-1.json"].Properties["kind"].Enum {
		_, s := all.Resolve("event-1.json", all["event-1.json"].Properties[keyOf(all, kind)])
		fmt.Fprintf(d, "| [`%s`](#%s) | %s |\n", kind, kind, cell(s.Description))
	}
	d.section("event-1.json", "Every event", all["event-1.json"])
	for _, kind := range all["event-1.json"].Properties["kind"].Enum {
		file := fmt.Sprintf("%s-1.json", kind)
		d.section(file, fmt.Sprint(kind), all[file])
		d.definitions(file)
	}
	fmt.Fprint(d, "\nWhat several kinds have:\n")
	d.definitions("common-1.json")
	return preface + d.String()
}

// keyOf is the key that an event of a kind has besides those of every event.
func keyOf(all schematest.Set, kind any) string {
	for _, one := range all["event-1.json"].AnyOf {
		if one.Properties["kind"].Const == kind {
			return one.Required[0]
		}
	}
	return ""
}

// page is the text written so far.
type page struct {
	strings.Builder
	all schematest.Set
}

func (d *page) definitions(file string) {
	for _, name := range slices.Sorted(maps.Keys(d.all[file].Defs)) {
		d.section(file, titleOf(file, "#/$defs/"+name), d.all[file].Defs[name])
	}
}

func (d *page) section(file, title string, s *schematest.Schema) {
	fmt.Fprintf(d, "\n## %s\n\n%s\n\n| key | holds | says |\n|---|---|---|\n", title, s.Description)
	d.rows(file, "", s)
}

// rows writes the keys of an object, those that are always there first.
func (d *page) rows(file, before string, s *schematest.Schema) {
	names := slices.SortedFunc(maps.Keys(s.Properties), func(a, b string) int {
		is := func(name string) int {
			if i := slices.Index(s.Required, name); i >= 0 {
				return i
			}
			return len(s.Required)
		}
		return cmp.Or(cmp.Compare(is(a), is(b)), strings.Compare(a, b))
	})
	for _, name := range names {
		p := s.Properties[name]
		key, holds := before+name, d.holds(file, p)
		if !slices.Contains(s.Required, name) {
			holds += ", or absent"
		}
		_, told := d.key(file, p)
		_, is := d.all.Resolve(file, p)
		fmt.Fprintf(d, "| `%s` | %s | %s |\n", key, holds, cell(cmp.Or(p.Description, told.Description, is.Description)))
		d.within(file, key, p)
	}
}

// within writes the keys of the objects inside a value, unless they are described elsewhere.
func (d *page) within(file, key string, s *schematest.Schema) {
	switch file, s = d.key(file, s); {
	case s.Ref != "":
	case s.Items != nil:
		d.within(file, key+"[]", s.Items)
	case s.Additional != nil:
		d.within(file, key+".NAME", s.Additional)
	case len(s.Properties) > 0:
		d.rows(file, key+".", s)
	}
}

// key writes a key that is described elsewhere.
func (d *page) key(file string, s *schematest.Schema) (string, *schematest.Schema) {
	to, pointer, _ := strings.Cut(s.Ref, "#")
	parts := strings.Split(pointer, "/")
	if len(parts) != 5 || parts[3] != "properties" {
		return file, s
	}
	file = cmp.Or(to, file)
	return file, d.all[file].Defs[parts[2]].Properties[parts[4]]
}

// holds names the type of a value.
func (d *page) holds(file string, s *schematest.Schema) string {
	file, s = d.key(file, s)
	if s.Ref != "" {
		title := titleOf(file, s.Ref)
		return "[" + title + "](#" + strings.ReplaceAll(title, " ", "-") + ")"
	}
	if s.Const != nil {
		return fmt.Sprintf("`%v`", s.Const)
	}
	var names []string
	for _, one := range s.AnyOf {
		names = append(names, d.holds(file, one))
	}
	for _, name := range s.Types() {
		switch {
		case name == "array" && s.Items != nil:
			name = "list of " + inBrackets(d.holds(file, s.Items))
		case name == "object" && s.Additional != nil && !s.Additional.Never && len(s.Properties) == 0:
			name = "object of " + inBrackets(d.holds(file, s.Additional))
		case s.Format == "date-time":
			name = strings.Replace(name, "string", "time", 1)
		}
		names = append(names, name)
	}
	text := strings.Join(names, " or ")
	if len(s.Enum) > 0 {
		text += ": " + words(s.Enum)
	}
	return strings.TrimSuffix(cmp.Or(text, "anything"), ": ")
}

// titleOf is the title of the section that a reference in a file leads to.
func titleOf(file, ref string) string {
	to, pointer, _ := strings.Cut(ref, "#")
	kind, name := strings.TrimSuffix(cmp.Or(to, file), "-1.json"), pointer[strings.LastIndex(pointer, "/")+1:]
	switch {
	case name == "":
		return kind
	case kind == "common":
		return name
	}
	return kind + " " + name
}

// inBrackets puts alternatives into brackets.
func inBrackets(text string) string {
	if strings.Contains(text, " or ") {
		return "(" + text + ")"
	}
	return text
}

func words(list []any) string {
	var texts []string
	for _, w := range list {
		switch w {
		case nil: // the type says so
		case "":
			texts = append(texts, "the empty string")
		default:
			texts = append(texts, fmt.Sprintf("`%v`", w))
		}
	}
	return strings.Join(texts, ", ")
}

// cell escapes a text for a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }
