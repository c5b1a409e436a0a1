// Package schematest checks JSON against published JSON Schemas, for tests.
package schematest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
)

// Schema is the part of JSON Schema (draft 2020-12) that the published ones use.
type Schema struct {
	Dialect     string             `json:"$schema"`
	Title       string             `json:"title"`
	Description string             `json:"description"`
	Defs        map[string]*Schema `json:"$defs"`
	Ref         string             `json:"$ref"`
	Type        any                `json:"type"`
	Const       any                `json:"const"`
	Enum        []any              `json:"enum"`
	AnyOf       []*Schema          `json:"anyOf"`
	Properties  map[string]*Schema `json:"properties"`
	Required    []string           `json:"required"`
	Additional  *Schema            `json:"additionalProperties"`
	Items       *Schema            `json:"items"`
	Pattern     string             `json:"pattern"`
	Format      string             `json:"format"`
	Minimum     *float64           `json:"minimum"`

	// Never is set for false, which nothing matches. The zero value stands for true.
	Never bool `json:"-"`
}

// UnmarshalJSON reads a schema. It refuses a keyword that is not checked, because the schema would
// promise in vain.
func (s *Schema) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, new(bool)); err == nil {
		*s = Schema{Never: string(b) == "false"}
		return nil
	}
	type plain Schema // without this method
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode((*plain)(s))
}

// Types returns the names of the types that a value may have.
func (s *Schema) Types() (names []string) {
	switch t := s.Type.(type) {
	case string:
		names = append(names, t)
	case []any:
		for _, name := range t {
			names = append(names, name.(string))
		}
	}
	return names
}

// Set is a set of schemas by file name. They refer to each other.
type Set map[string]*Schema

// Read reads all schemas of a folder.
func Read(t testing.TB, folder fs.FS) Set {
	t.Helper()
	all, err := read(folder)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(folder fs.FS) (Set, error) {
	names, err := fs.Glob(folder, "*.json")
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("finding schemas: %q, %w", names, err)
	}
	all := Set{}
	for _, name := range names {
		b, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		all[name] = &Schema{}
		if err := json.Unmarshal(b, all[name]); err != nil {
			return nil, fmt.Errorf("reading schema %q: %w", name, err)
		}
	}
	return all, nil
}

// Resolve follows the reference of a schema in a file. It returns the schema that is meant and its
// file; nil: there is none.
func (all Set) Resolve(file string, s *Schema) (string, *Schema) {
	for s != nil && s.Ref != "" {
		to, pointer, _ := strings.Cut(s.Ref, "#")
		if to != "" {
			file = path.Base(to)
		}
		s = all[file].at(pointer)
	}
	return file, s
}

// at is the schema at a JSON pointer, such as /$defs/change/properties/kind.
func (s *Schema) at(pointer string) *Schema {
	words := strings.Split(pointer, "/")[1:]
	for ; len(words) > 1 && s != nil; words = words[2:] {
		switch words[0] {
		case "$defs":
			s = s.Defs[words[1]]
		case "properties":
			s = s.Properties[words[1]]
		default:
			return nil
		}
	}
	return s
}
