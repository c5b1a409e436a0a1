package schematest

import (
	"testing"
	"testing/fstest"
)

func TestCheck(t *testing.T) {
	all := Read(t, fstest.MapFS{
		"a.json": {Data: []byte(`{"type": "object", "required": ["n"], "properties": {
			"n": {"type": ["integer", "null"], "minimum": 1},
			"word": {"enum": ["x", "y"]},
			"id": {"type": "string", "pattern": "^[a-z]+$"},
			"list": {"type": "array", "items": {"$ref": "b.json#/$defs/flag"}},
			"table": {"type": "object", "additionalProperties": {"$ref": "b.json#/$defs/pair/properties/left"}},
			"open": {"type": "object", "additionalProperties": true},
			"closed": {"type": "object", "additionalProperties": false},
			"lost": {"$ref": "b.json#/$defs/nowhere"}
		}, "anyOf": [{"properties": {"word": {"const": "x"}}, "required": ["id"]}, {"properties": {"n": {"const": 7}}}]}`)},
		"b.json": {Data: []byte(`{"$defs": {"flag": {"type": "boolean"}, "pair": {"properties": {"left": {"type": "number"}}}}}`)},
	})
	for text, wrong := range map[string]int{
		`{"n": 7}`: 0, `{"n": 1, "word": "x", "id": "a"}`: 0, `{"n": null, "word": "x", "id": "a", "list": [true]}`: 0,
		`{"n": 18446744073709551615, "word": "x", "id": "a"}`: 0, `{"n": 7, "open": {"a": 1}, "table": {"a": 1.5}}`: 0,
		`{"n": 7, "list": [true, 1]}`: 1, `{"n": 7, "table": {"a": 1.5, "b": "x"}}`: 1, `{"n": 7, "closed": {"a": 1}}`: 1,
		`{"n": 7, "word": "z"}`: 1, `{"n": 7, "id": "A"}`: 1, `{"n": 7, "other": 1}`: 1, `{"n": 7, "lost": 1}`: 1,
		`{"n": 0, "word": "x", "id": "a"}`: 1, `{"n": 7.5, "word": "x", "id": "a"}`: 1, `{"word": "x", "id": "a"}`: 1,
		`{"n": 1, "word": "x"}`: 2, `[]`: 1, `x`: 1,
	} {
		if got := all.Check("a.json", []byte(text)); len(got) != wrong {
			t.Errorf("%s: %q, want %d", text, got, wrong)
		}
	}
}

func TestUncheckedKeywordIsRefused(t *testing.T) {
	for _, text := range []string{`{"maximum": 1}`, `{"properties": {"a": {"maximum": 1}}}`} {
		if err := new(Schema).UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}
