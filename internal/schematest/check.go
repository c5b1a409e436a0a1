package schematest

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
)

// Check returns what is wrong with a JSON text, by the schema in a file. A key that the schema does
// not describe is wrong, even where a reader must ignore unknown keys.
func (all Set) Check(file string, text []byte) []string {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return []string{err.Error()}
	}
	return all.check(file, all[file], "", v)
}

// check returns what is wrong with a value at a place; file is the file of s.
func (all Set) check(file string, s *Schema, at string, v any) (wrong []string) {
	complain := func(format string, args ...any) {
		wrong = append(wrong, at+": "+fmt.Sprintf(format, args...))
	}
	ref := s.Ref
	if file, s = all.Resolve(file, s); s == nil {
		complain("nothing is at %s", ref)
		return wrong
	}
	if types := s.Types(); types != nil && !slices.Contains(types, typeOf(v)) {
		complain("%v is %s, want %v", v, typeOf(v), types)
	}
	if s.Never || s.Const != nil && v != s.Const || s.Enum != nil && !slices.Contains(s.Enum, v) {
		complain("%v, want %v%v", v, s.Const, s.Enum)
	}
	if text, ok := v.(string); ok && !regexp.MustCompile(s.Pattern).MatchString(text) {
		complain("%q does not match %s", text, s.Pattern)
	}
	if n, ok := v.(float64); ok && s.Minimum != nil && n < *s.Minimum {
		complain("%v is too small", n)
	}
	return slices.Concat(wrong, all.checkChoice(file, s, at, v), all.checkItems(file, s, at, v), all.checkObject(file, s, at, v))
}

// checkChoice checks that a value matches one of several schemas.
func (all Set) checkChoice(file string, s *Schema, at string, v any) (wrong []string) {
	for _, one := range s.AnyOf {
		w := all.check(file, one, at, v)
		if w == nil {
			return nil
		}
		wrong = append(wrong, w...)
	}
	return wrong
}

func (all Set) checkItems(file string, s *Schema, at string, v any) (wrong []string) {
	list, ok := v.([]any)
	if !ok || s.Items == nil {
		return nil
	}
	for i, item := range list {
		wrong = append(wrong, all.check(file, s.Items, fmt.Sprintf("%s[%d]", at, i), item)...)
	}
	return wrong
}

func (all Set) checkObject(file string, s *Schema, at string, v any) (wrong []string) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	for _, key := range s.Required {
		if _, ok := object[key]; !ok {
			wrong = append(wrong, at+": no key "+key)
		}
	}
	for key, v := range object {
		property, described := s.Properties[key]
		if !described {
			property = s.Additional
		}
		switch {
		case property != nil && !property.Never:
			wrong = append(wrong, all.check(file, property, at+"."+key, v)...)
		case slices.Contains(s.Types(), "object"): // else the schema only describes some keys of an object
			wrong = append(wrong, at+": undocumented key "+key)
		}
	}
	return wrong
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
		if v == math.Trunc(v) {
			return "integer"
		}
	}
	return "number"
}
