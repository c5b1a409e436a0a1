package flat

import (
	"encoding/binary"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"time"
	"unsafe"
)

// kind says how the values of a type are written and read.
type kind struct {
	write func(w *writer, b []byte, v reflect.Value) []byte
	read  func(r *reader, v reflect.Value)
}

// kinds are those of the types seen so far: a type may hold itself.
type kinds map[reflect.Type]*kind

// of returns the kind of a type.
func (ks kinds) of(t reflect.Type) *kind {
	if k, ok := ks[t]; ok {
		return k
	}
	k := &kind{}
	ks[t] = k
	if t == timeType {
		*k = kind{writeTime, readTime}
		return k
	}
	switch t.Kind() {
	case reflect.Bool:
		*k = kind{writeBool, readBool}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		*k = kind{
			func(_ *writer, b []byte, v reflect.Value) []byte { return binary.AppendVarint(b, v.Int()) },
			func(r *reader, v reflect.Value) { v.SetInt(r.varint()) },
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		*k = kind{
			func(_ *writer, b []byte, v reflect.Value) []byte { return binary.AppendUvarint(b, v.Uint()) },
			func(r *reader, v reflect.Value) { v.SetUint(r.uvarint()) },
		}
	case reflect.String:
		*k = kind{
			func(w *writer, b []byte, v reflect.Value) []byte { return w.text(b, v.String()) },
			func(r *reader, v reflect.Value) { v.SetString(r.text()) },
		}
	case reflect.Struct:
		*k = ks.structure(t)
	case reflect.Pointer:
		*k = ks.pointer(t)
	case reflect.Slice:
		*k = ks.slice(t)
	case reflect.Array:
		*k = ks.array(t)
	case reflect.Map:
		*k = ks.mapping(t)
	default:
		panic(fmt.Sprintf("flat: %s has no form", t))
	}
	return k
}

// fields yields the exported fields of a struct.
func fields(t reflect.Type) iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && !yield(f) {
				return
			}
		}
	}
}

func (ks kinds) structure(t reflect.Type) kind {
	type field struct {
		i int
		k *kind
	}
	var list []field
	for f := range fields(t) {
		list = append(list, field{f.Index[0], ks.of(f.Type)})
	}
	return kind{
		func(w *writer, b []byte, v reflect.Value) []byte {
			for _, f := range list {
				b = f.k.write(w, b, v.Field(f.i))
			}
			return b
		},
		func(r *reader, v reflect.Value) {
			for _, f := range list {
				f.k.read(r, v.Field(f.i))
			}
		},
	}
}

// pointer writes 0 for nil, and else 1 and the value.
func (ks kinds) pointer(t reflect.Type) kind {
	elem, of := t.Elem(), ks.of(t.Elem())
	return kind{
		func(w *writer, b []byte, v reflect.Value) []byte {
			if v.IsNil() {
				return append(b, 0)
			}
			return of.write(w, append(b, 1), v.Elem())
		},
		func(r *reader, v reflect.Value) {
			if r.flag() && r.enter() {
				p := reflect.New(elem)
				of.read(r, p.Elem())
				v.Set(p)
				r.depth--
			}
		},
	}
}

// slice writes bytes as a text, and any other list as its number in the table of lists. 0 is nil.
func (ks kinds) slice(t reflect.Type) kind {
	if t.Elem().Kind() == reflect.Uint8 {
		return kind{writeBytes, readBytes}
	}
	of := ks.of(t.Elem())
	return kind{
		func(w *writer, b []byte, v reflect.Value) []byte {
			if v.IsNil() {
				return append(b, 0)
			}
			list := binary.AppendUvarint(nil, uint64(v.Len()))
			for i := range v.Len() {
				list = of.write(w, list, v.Index(i))
			}
			return w.list(b, t, list)
		},
		func(r *reader, v reflect.Value) {
			r.list(v, func() reflect.Value {
				n := r.length()
				s := reflect.MakeSlice(t, n, n)
				for i := 0; i < n && !r.bad; i++ {
					of.read(r, s.Index(i))
				}
				return s
			})
		},
	}
}

func (ks kinds) array(t reflect.Type) kind {
	of := ks.of(t.Elem())
	return kind{
		func(w *writer, b []byte, v reflect.Value) []byte {
			for i := range t.Len() {
				b = of.write(w, b, v.Index(i))
			}
			return b
		},
		func(r *reader, v reflect.Value) {
			for i := range t.Len() {
				of.read(r, v.Index(i))
			}
		},
	}
}

// mapping writes a map as a list of keys and values, in the order of the keys, which are texts.
func (ks kinds) mapping(t reflect.Type) kind {
	if t.Key().Kind() != reflect.String {
		panic(fmt.Sprintf("flat: %s has no form", t))
	}
	of := ks.of(t.Elem())
	return kind{
		func(w *writer, b []byte, v reflect.Value) []byte {
			if v.IsNil() {
				return append(b, 0)
			}
			keys := v.MapKeys()
			slices.SortFunc(keys, func(p, q reflect.Value) int {
				if p.String() < q.String() {
					return -1
				}
				return 1
			})
			list := binary.AppendUvarint(nil, uint64(len(keys)))
			for _, key := range keys {
				list = of.write(w, w.text(list, key.String()), v.MapIndex(key))
			}
			return w.list(b, t, list)
		},
		func(r *reader, v reflect.Value) {
			r.list(v, func() reflect.Value {
				n := r.length()
				m := reflect.MakeMapWithSize(t, n)
				for i := 0; i < n && !r.bad; i++ {
					key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
					key.SetString(r.text())
					of.read(r, value)
					m.SetMapIndex(key, value)
				}
				return m
			})
		},
	}
}

func writeBool(_ *writer, b []byte, v reflect.Value) []byte {
	if v.Bool() {
		return append(b, 1)
	}
	return append(b, 0)
}

func readBool(r *reader, v reflect.Value) { v.SetBool(r.flag()) }

// writeBytes writes 0 for nil, and else the number of the text.
func writeBytes(w *writer, b []byte, v reflect.Value) []byte {
	if v.IsNil() {
		return append(b, 0)
	}
	return w.text(append(b, 1), string(v.Bytes()))
}

func readBytes(r *reader, v reflect.Value) {
	if !r.flag() {
		return
	}
	s := r.text()
	if s == "" {
		v.SetBytes([]byte{})
		return
	}
	v.SetBytes(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// writeTime writes seconds and nanoseconds since 1970, in UTC.
func writeTime(_ *writer, b []byte, v reflect.Value) []byte {
	t := v.Interface().(time.Time)
	return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()), uint64(t.Nanosecond()))
}

func readTime(r *reader, v reflect.Value) {
	seconds, nanos := r.varint(), r.uvarint()
	if nanos >= 1e9 {
		r.bad = true
		return
	}
	if t := time.Unix(seconds, int64(nanos)).UTC(); !t.IsZero() {
		*v.Addr().Interface().(*time.Time) = t
	}
}
