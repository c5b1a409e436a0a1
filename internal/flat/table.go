package flat

import (
	"encoding/binary"
	"reflect"
	"unsafe"
)

// writer numbers the texts and lists that were written.
type writer struct {
	texts        map[string]uint64
	textsInOrder []string
	lists        map[listKey]uint64
	listsInOrder []string
}

// listKey tells lists of different types apart, even if their bytes are equal.
type listKey struct {
	of    reflect.Type
	bytes string
}

// text writes the number of a text.
func (w *writer) text(b []byte, s string) []byte {
	n, ok := w.texts[s]
	if !ok {
		n = uint64(len(w.textsInOrder))
		w.texts[s] = n
		w.textsInOrder = append(w.textsInOrder, s)
	}
	return binary.AppendUvarint(b, n)
}

// list writes the number of a list, from 1.
func (w *writer) list(b []byte, of reflect.Type, list []byte) []byte {
	key := listKey{of, string(list)}
	n, ok := w.lists[key]
	if !ok {
		w.listsInOrder = append(w.listsInOrder, key.bytes)
		n = uint64(len(w.listsInOrder))
		w.lists[key] = n
	}
	return binary.AppendUvarint(b, n)
}

// reader reads what a writer wrote. After the first fault, bad is set and all it reads is zero.
type reader struct {
	rest  []byte
	texts []string
	lists []string
	read  []reflect.Value // those lists that were read already
	depth int
	bad   bool
}

// maxDepth bounds how deep values may hold others: no type of a record comes near.
const maxDepth = 100

// enter goes one step deeper.
func (r *reader) enter() bool {
	if r.depth++; r.depth > maxDepth {
		r.bad = true
	}
	return !r.bad
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// length reads how many values follow. Each takes a byte at least: no type is empty.
func (r *reader) length() int {
	v := r.uvarint()
	if v > uint64(len(r.rest)) {
		r.bad = true
		return 0
	}
	return int(v)
}

func (r *reader) flag() bool {
	if len(r.rest) == 0 || r.rest[0] > 1 {
		r.bad, r.rest = true, nil
		return false
	}
	set := r.rest[0] == 1
	r.rest = r.rest[1:]
	return set
}

// strings reads a table.
func (r *reader) strings() []string {
	n := r.length()
	list := make([]string, 0, n)
	for range n {
		size := r.uvarint()
		if r.bad || size > uint64(len(r.rest)) {
			r.bad = true
			return nil
		}
		if size == 0 {
			list = append(list, "")
			continue
		}
		list = append(list, unsafe.String(&r.rest[0], int(size)))
		r.rest = r.rest[size:]
	}
	return list
}

// text reads the number of a text.
func (r *reader) text() string {
	n := r.uvarint()
	if n >= uint64(len(r.texts)) {
		r.bad = true
		return ""
	}
	return r.texts[n]
}

// list reads the number of a list into v. content reads the list itself, if it was not read yet.
func (r *reader) list(v reflect.Value, content func() reflect.Value) {
	n := r.uvarint()
	if r.bad || n == 0 {
		return
	}
	if n > uint64(len(r.lists)) {
		r.bad = true
		return
	}
	known := &r.read[n-1]
	if !known.IsValid() && r.enter() {
		outer, bytes := r.rest, r.lists[n-1]
		r.rest = unsafe.Slice(unsafe.StringData(bytes), len(bytes))
		list := content()
		r.bad = r.bad || len(r.rest) > 0
		r.rest = outer
		r.depth--
		*known = list
	}
	if r.bad || known.Type() != v.Type() {
		r.bad = true
		return
	}
	v.Set(*known)
}
