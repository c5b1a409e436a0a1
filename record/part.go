package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// PartType is a type that a part of an observation has. Each has the name of one part, so that name
// and type cannot be mixed up.
type PartType interface {
	Taint | Coverage | Blockers | Locks | Signatures | Entitlement | Clock | JournalStorage | OwnFiles | System | Warnings |
		Advisories | Repositories | RepositoriesRead | Verified | HistoryComparison

	partName() PartName
}

// PartNameOf returns the name of the part that has a type.
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

// ReadPart reads a part of an observation. One that the observation has not is not known; one of another
// form, as another program may have written it, is an error.
func ReadPart[T PartType](o *Observation) (v T, known bool, err error) {
	text := o.Parts[PartNameOf[T]()]
	if text == nil {
		return v, false, nil
	}
	return v, true, unmarshalPart(text, &v)
}

// RawPart is a part of an observation on record, as it was written.
type RawPart struct {
	Event int64 // number of the observation
	Time  Timestamp
	JSON  json.RawMessage
}

// Part is a part whose type is known.
type Part[T PartType] RawPart

// PartFrom gives a part that was read under the name of a type that type; nil stays nil.
func PartFrom[T PartType](raw *RawPart, err error) (*Part[T], error) { return (*Part[T])(raw), err }

// Value reads what the part says.
func (p *Part[T]) Value() (v T, err error) {
	return v, unmarshalPart(p.JSON, &v)
}

// unmarshalPart reads a part into v. Where it has another form, the error names the key, and says what was
// found in plain words: whoever reads it need not know Go.
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

// formOf says what a type is in JSON.
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

// coveredUntil and foundBy are the keys of two parts that are read also where another program wrote the rest
// of the part otherwise.
type (
	coveredUntil struct {
		Date string `json:"date"`
	}
	foundBy struct {
		Result   string   `json:"result"`
		Problems []string `json:"problems"`
	}
)

// CoveredUntil returns the date in the part coverage, whatever else that says: a view was made of it, and is
// made so for ever. It is empty if there is none.
func (o *Observation) CoveredUntil() string {
	var c coveredUntil
	if json.Unmarshal(o.Parts[PartCoverage], &c) != nil {
		return ""
	}
	return c.Date
}

// FoundBy returns the result of a verification on record, and what was wrong, whatever else the part says.
func FoundBy(part *RawPart) (result string, problems []string) {
	var f foundBy
	if json.Unmarshal(part.JSON, &f) != nil {
		return "", nil
	}
	return f.Result, f.Problems
}
