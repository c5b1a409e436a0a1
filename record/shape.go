package record

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// shape describes the JSON that can be read into a type of Go. It is derived from the type: JSON that
// fits is what encoding/json reads without an error, and without a guess. TestDecodedAlike holds that both read it alike.
type shape struct {
	kind     shapeKind
	optional bool           // of a time: it may be null, as all else may
	of       *shape         // of the elements of a list or table
	names    []string       // of an object: its keys
	fields   []*shape       // by name
	places   [][]int        // by name: where the field is in the struct, and in those that are embedded
	index    map[string]int // of a name
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

// String is the kind for people.
func (k shapeKind) String() string {
	return [...]string{"value", "object", "table", "list", "text", "boolean", "integer", "integer from 0 on", "number", "time"}[k]
}

// anything is the shape of a value of which nothing is known, nor of what is inside it.
var anything = func() *shape {
	sh := &shape{kind: isAnything}
	sh.of = sh
	return sh
}()

// begins says whether a value of this shape may begin with a byte.
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

// field returns the shape of a field, by the number of the field if that is known.
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

// shapes are those of types that were met: events have the same ones in many places.
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

// addFields adds the fields of a struct that is at a place in the one of the shape, and those of the structs
// that are embedded in it. A field of its own wins over an embedded one of the same name.
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

// find is the number of a key among the names, which events have in their order: the search begins where the key
// before was found.
func (sh *shape) find(key []byte, from int) (n int, known bool) {
	for i := from; i < len(sh.names); i++ {
		if sh.names[i] == string(key) {
			return i, true
		}
	}
	n, known = sh.index[string(key)]
	return n, known
}
