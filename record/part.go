package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// PartType is the type of a part of an observation. Each type belongs to one part name, so that
// name and type cannot be mixed up.
type PartType interface {
	Taint | Coverage | Blockers | Locks | Signatures | Entitlement | Clock | JournalStorage | OwnFiles | System | Warnings |
		Advisories | Repositories | RepositoriesRead | Verified | HistoryComparison

	partName() PartName
}

// PartNameOf returns the name of the part that has this type.
func PartNameOf[T PartType]() PartName {
	var v T
	return v.partName()
}

// SetPart adds a part to an observation.
func SetPart[T PartType](o *Observation, v T) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if o.Parts == nil {
		o.Parts = map[PartName]json.RawMessage{}
	}
	o.Parts[PartNameOf[T]()] = text
	return nil
}

// ReadPart reads a part of an observation. A part that is absent is not known; a part of another
// form, perhaps written by another program, is an error.
func ReadPart[T PartType](o *Observation) (v T, known bool, err error) {
	text := o.Parts[PartNameOf[T]()]
	if text == nil {
		return v, false, nil
	}
	return v, true, unmarshalPart(text, &v)
}

// RawPart is a part of an observation on record, still encoded.
type RawPart struct {
	Event int64 // number of the observation
	Time  Timestamp
	JSON  json.RawMessage
}

// Part is a part whose type is known.
type Part[T PartType] RawPart

// PartFrom turns a part that was read under the name of a type into a Part of that type; nil stays
// nil.
func PartFrom[T PartType](raw *RawPart, err error) (*Part[T], error) { return (*Part[T])(raw), err }

// Value decodes the part.
func (p *Part[T]) Value() (v T, err error) {
	return v, unmarshalPart(p.JSON, &v)
}

// unmarshalPart decodes a part into v. If the form is wrong, the error names the key and says in
// plain words what was found: its reader need not know Go.
func unmarshalPart(text []byte, v any) error {
	err := json.Unmarshal(text, v)
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	found := wrong.Value
	for word, plain := range map[string]string{"string": "text", "array": "list", "bool": "boolean"} {
		if rest, ok := strings.CutPrefix(found, word); ok {
			found = plain + rest
		}
	}
	if wrong.Field == "" {
		return fmt.Errorf("found %s, want %s", found, formOf(wrong.Type))
	}
	return fmt.Errorf("key %q: found %s, want %s", wrong.Field, found, formOf(wrong.Type))
}

// formOf returns what a Go type is in JSON.
func formOf(t reflect.Type) shapeKind {
	if t == reflect.TypeFor[Timestamp]() {
		return isMoment
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return isObject
	case reflect.Slice:
		return isList
	case reflect.String:
		return isText
	case reflect.Bool:
		return isBoolean
	case reflect.Float64:
		return isReal
	case reflect.Uint32, reflect.Uint64:
		return isUnsigned
	}
	return isInteger
}

// coveredUntil and foundBy hold keys of two parts that must be readable even if another program
// wrote the rest of the part differently.
type (
	coveredUntil struct {
		Date string `json:"date"`
	}
	foundBy struct {
		Result   string   `json:"result"`
		Problems []string `json:"problems"`
	}
)

// CoveredUntil returns the date in the part coverage, whatever else the part says: views were built
// from it, and always will be. It is empty if there is none.
func (o *Observation) CoveredUntil() string {
	var c coveredUntil
	if json.Unmarshal(o.Parts[PartCoverage], &c) != nil {
		return ""
	}
	return c.Date
}

// FoundBy returns the result of a recorded verification and what was wrong, whatever else the part
// says.
func FoundBy(part *RawPart) (result string, problems []string) {
	var f foundBy
	if json.Unmarshal(part.JSON, &f) != nil {
		return "", nil
	}
	return f.Result, f.Problems
}
