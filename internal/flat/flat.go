// Package flat writes many Go values of one type in a form that is small and quick to read. Each
// text and each list is written once, however many values hold it, and values that are read share
// it. The form follows from the Go type alone, so it is one for what can be made again: Form tells
// whether what was written can still be read.
package flat

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// ErrForm says that bytes are not what Append writes for the type.
var ErrForm = errors.New("not in the form that this type has")

// Codec writes and reads values of one type.
type Codec[T any] struct {
	kind *kind
	form int64
}

// Of returns the codec of a type. It panics if the type holds what has no form: an interface, a
// function, a channel, a complex number, or a number that is not an integer. Fields that are not
// exported are left out.
func Of[T any]() *Codec[T] {
	types := kinds{}
	k := types.of(reflect.TypeFor[T]())
	digest := sha256.Sum256([]byte(describe(reflect.TypeFor[T](), map[reflect.Type]int{})))
	return &Codec[T]{kind: k, form: int64(binary.BigEndian.Uint64(digest[:8]) >> 1)}
}

// Form identifies the form that values of this type have. It changes with the type.
func (c *Codec[T]) Form() int64 { return c.form }

// Append writes values.
func (c *Codec[T]) Append(b []byte, values []T) []byte {
	w := &writer{texts: map[string]uint64{}, lists: map[listKey]uint64{}}
	var body []byte
	for i := range values {
		body = c.kind.write(w, body, reflect.ValueOf(&values[i]).Elem())
	}
	b = binary.AppendUvarint(b, uint64(len(w.textsInOrder)))
	for _, s := range w.textsInOrder {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(len(w.listsInOrder)))
	for _, s := range w.listsInOrder {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(len(values)))
	return append(b, body...)
}

// Read reads values that were written with the same form. They share texts and lists with each
// other and with the bytes: change neither.
func (c *Codec[T]) Read(b []byte) (values []T, err error) {
	r := &reader{rest: b}
	r.texts, r.lists = r.strings(), r.strings()
	r.read = make([]reflect.Value, len(r.lists))
	n := r.length()
	values = make([]T, 0, n)
	for range n {
		var v T
		c.kind.read(r, reflect.ValueOf(&v).Elem())
		if r.bad {
			break
		}
		values = append(values, v)
	}
	if r.bad || len(r.rest) > 0 {
		return nil, fmt.Errorf("reading %d bytes: %w", len(b), ErrForm)
	}
	return values, nil
}

// describe writes a type so that two types with one description have one form.
func describe(t reflect.Type, seen map[reflect.Type]int) string {
	if n, ok := seen[t]; ok {
		return fmt.Sprintf("#%d", n)
	}
	seen[t] = len(seen)
	switch {
	case t == timeType:
		return "time"
	case t.Kind() == reflect.Struct:
		var b strings.Builder
		for f := range fields(t) {
			fmt.Fprintf(&b, "%s %s;", f.Name, describe(f.Type, seen))
		}
		return "{" + b.String() + "}"
	case t.Kind() == reflect.Map:
		return "map[" + describe(t.Key(), seen) + "]" + describe(t.Elem(), seen)
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Pointer:
		return t.Kind().String() + " " + describe(t.Elem(), seen)
	case t.Kind() == reflect.Array:
		return fmt.Sprintf("[%d]%s", t.Len(), describe(t.Elem(), seen))
	}
	return t.Kind().String()
}

var timeType = reflect.TypeFor[time.Time]()
