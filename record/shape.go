package record

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// shape describes the JSON that can be decoded into a Go type. It is derived from the type: JSON
// that fits is JSON that encoding/json decodes without an error and without a guess.
// TestDecodedAlike checks that both decode it alike.
type shape struct {
	kind     shapeKind
	optional bool           // for a time: it may be null, as everything else may
	of       *shape         // the elements of a list or table
	names    []string       // the keys of an object
	fields   []*shape       // by name
	places   [][]int        // by name: where the field is in the struct, including embedded ones
	index    map[string]int // position of a name
}

type shapeKind int

const (
	isAnything shapeKind = iota
	isObject
	isTable // an object whose keys are data
	isList
	isText
	isBoolean
	isInteger
	isUnsigned
	isReal
	isMoment
)

// String returns the kind in plain words.
func (k shapeKind) String() string {
	return [...]string{"value", "object", "table", "list", "text", "boolean", "integer", "non-negative integer", "number", "time"}[k]
}

// anything is the shape of a value about which nothing is known, nor about what is inside it.
var anything = func() *shape {
	sh := &shape{kind: isAnything}
	sh.of = sh
	return sh
}()

// begins says whether a value of this shape may begin with this byte.
func (sh *shape) begins(c byte) bool {
	number := c == '-' || '0' <= c && c <= '9'
	switch sh.kind {
	case isObject, isTable:
		return c == '{'
	case isList:
		return c == '['
	case isText, isMoment:
		return c == '"'
	case isBoolean:
		return c == 't' || c == 'f'
	case isInteger, isUnsigned, isReal:
		return number
	}
	return number || strings.IndexByte(`{["tf`, c) >= 0
}

// field returns the shape of a field, by its number if that is known.
func (sh *shape) field(n int, known bool) *shape {
	switch {
	case known:
		return sh.fields[n]
	case sh.kind == isTable:
		return sh.of
	}
	return anything
}

// eventShape returns the shape of all events.
var eventShape = sync.OnceValue(func() *shape { return shapeOf(reflect.TypeFor[Event]()) })

func shapeOf(t reflect.Type) *shape { return shapes{}.of(t) }

// shapes caches the types met so far: events use the same ones in many places.
type shapes map[reflect.Type]*shape

func (known shapes) of(t reflect.Type) *shape {
	sh := known[t]
	if sh == nil {
		sh = known.make(t)
		known[t] = sh
	}
	return sh
}

func (known shapes) make(t reflect.Type) *shape {
	switch t {
	case reflect.TypeFor[Timestamp]():
		return &shape{kind: isMoment}
	case reflect.TypeFor[json.RawMessage]():
		return anything
	}
	switch t.Kind() {
	case reflect.Pointer:
		sh := *known.of(t.Elem())
		sh.optional = true
		return &sh
	case reflect.Struct:
		sh := &shape{kind: isObject, index: map[string]int{}}
		known.addFields(sh, t, nil)
		return sh
	case reflect.Map:
		return &shape{kind: isTable, of: known.of(t.Elem())}
	case reflect.Slice:
		return &shape{kind: isList, of: known.of(t.Elem())}
	case reflect.String:
		return &shape{kind: isText}
	case reflect.Bool:
		return &shape{kind: isBoolean}
	case reflect.Int, reflect.Int64:
		return &shape{kind: isInteger}
	case reflect.Uint64:
		return &shape{kind: isUnsigned}
	case reflect.Float64:
		return &shape{kind: isReal}
	}
	panic(fmt.Sprintf("events have no field of type %s", t))
}

// addFields adds the fields of a struct that lies at this place within the one of the shape, and
// those of the structs embedded in it. A field of the struct itself hides an embedded one of the
// same name.
func (known shapes) addFields(sh *shape, t reflect.Type, place []int) {
	for _, embedded := range []bool{true, false} {
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			at := append(slices.Clone(place), i)
			switch {
			case f.Anonymous != embedded:
			case embedded:
				known.addFields(sh, f.Type, at)
			default:
				sh.addField(name, known.of(f.Type), at)
			}
		}
	}
}

func (sh *shape) addField(name string, field *shape, place []int) {
	if n, there := sh.index[name]; there {
		sh.fields[n], sh.places[n] = field, place
		return
	}
	sh.index[name] = len(sh.names)
	sh.names, sh.fields, sh.places = append(sh.names, name), append(sh.fields, field), append(sh.places, place)
	if len(sh.names) > 64 || name == "" {
		panic(fmt.Sprintf("field %q of an event", name)) // see scanner.object
	}
}

// find returns the position of a key among the names. Events have their keys in the same order, so
// the search begins where the previous key was found.
func (sh *shape) find(key []byte, from int) (n int, known bool) {
	for i := from; i < len(sh.names); i++ {
		if sh.names[i] == string(key) {
			return i, true
		}
	}
	n, known = sh.index[string(key)]
	return n, known
}
