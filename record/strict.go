package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"
)

// maxDepth is how deep SQLite nests JSON (JSON_MAX_DEPTH).
const maxDepth = 1000

// scan checks that all readers read a body alike, and decodes it into a value; with the zero Value
// it only checks. at gives the positions of the values of its outermost keys, as far as the shape
// knows them.
func scan(body []byte, sh *shape, into reflect.Value) (at []span, err error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	s := scanner{b: body}
	if into.IsValid() {
		s.all = string(body)
	}
	if s.space(); s.peek() != '{' {
		return nil, errors.New("not a JSON object")
	}
	s.outer = make([]span, len(sh.names))
	if err := s.value(sh, into); err != nil {
		return nil, fmt.Errorf("byte %d: %w", s.i+1, err)
	}
	if s.space(); s.i < len(body) {
		return nil, fmt.Errorf("byte %d: trailing data", s.i+1)
	}
	return s.outer, nil
}

// span is the position of a value in a body; empty: the value is absent.
type span struct{ from, to int }

func (p span) of(body []byte) []byte { return body[p.from:p.to] }

// scanner reads a body once and remembers the keys of the objects it is in. It decodes into an
// empty Go value; if that is the zero Value, it only checks.
type scanner struct {
	b     []byte
	all   string // the same, if anything is kept of it: strings are slices of this
	i     int
	depth int
	keys  [][]byte
	outer []span
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	if s.i < len(s.b) && s.b[s.i] <= ' ' {
		s.skip()
	}
}

func (s *scanner) skip() {
	for s.i < len(s.b) && bytes.IndexByte([]byte(" \t\r\n"), s.b[s.i]) >= 0 {
		s.i++
	}
}

// take consumes a byte if it comes next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		if s.space(); s.peek() != c {
			return false
		}
	}
	s.i++
	return true
}

// value reads a value.
func (s *scanner) value(sh *shape, into reflect.Value) error {
	s.space()
	if sh.kind == isAnything && into.IsValid() {
		return s.raw(into)
	}
	c := s.peek()
	if c == 'n' {
		if sh.kind == isMoment && !sh.optional {
			return errors.New("not a time")
		}
		return s.word("null")
	}
	if !sh.begins(c) {
		return fmt.Errorf("%q cannot begin a value of type %s", c, sh.kind)
	}
	for into.IsValid() && into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	switch c {
	case '{', '[':
		return s.nested(sh, into, c)
	case '"':
		return s.text(sh, into)
	case 't':
		if into.IsValid() {
			into.SetBool(true)
		}
		return s.word("true")
	case 'f':
		return s.word("false")
	}
	return s.number(sh, into)
}

// raw reads a value without decoding it.
func (s *scanner) raw(into reflect.Value) error {
	from := s.i
	err := s.value(anything, reflect.Value{})
	if err == nil {
		into.SetBytes(s.b[from:s.i:s.i])
	}
	return err
}

// nested reads an object or a list.
func (s *scanner) nested(sh *shape, into reflect.Value, c byte) (err error) {
	if s.depth++; s.depth > maxDepth {
		return fmt.Errorf("nested more than %d deep", maxDepth)
	}
	s.i++
	if c == '[' {
		err = s.list(sh, into)
	} else {
		err = s.object(sh, into)
	}
	s.depth--
	return err
}

func (s *scanner) word(w string) error {
	if !bytes.HasPrefix(s.b[s.i:], []byte(w)) {
		return errors.New("not JSON")
	}
	s.i += len(w)
	return nil
}

func (s *scanner) list(sh *shape, into reflect.Value) error {
	const atFirst = 4
	known := into.IsValid()
	if s.take(']') {
		if known {
			into.Set(reflect.MakeSlice(into.Type(), 0, 0))
		}
		return nil
	}
	if known {
		into.Grow(atFirst)
	}
	var element reflect.Value
	for n := 0; ; n++ {
		if known {
			into.Grow(1)
			into.SetLen(n + 1)
			element = into.Index(n)
		}
		if err := s.value(sh.of, element); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return errors.New("a list without an end")
		}
	}
}

func (s *scanner) object(sh *shape, into reflect.Value) error {
	if sh.kind == isTable && into.IsValid() {
		into.Set(reflect.MakeMap(into.Type()))
	}
	first := len(s.keys)
	if s.take('}') {
		return nil
	}
	var seen uint64 // bit set of the fields that the shape knows
	for next := 0; ; {
		key, err := s.key()
		if err != nil {
			return err
		}
		n, known := sh.find(key, next)
		switch {
		case known && seen&(1<<n) != 0:
			return fmt.Errorf("key %q appears twice", key)
		case known:
			seen |= 1 << n
			next = n + 1
		case sh.kind != isTable && !isName(key):
			return fmt.Errorf("key %.80q is not in lower case", key)
		default:
			s.keys = append(s.keys, key)
		}
		s.space()
		from := s.i
		if err := s.member(sh, into, key, n, known); err != nil {
			return err
		}
		if known && s.depth == 1 {
			s.outer[n] = span{from, s.i}
		}
		if s.take('}') {
			err := twice(s.keys[first:])
			s.keys = s.keys[:first]
			return err
		}
		if !s.take(',') {
			return errors.New("an object without an end")
		}
	}
}

// member reads the value of a key: of a known field, of a table, or of nothing known.
func (s *scanner) member(sh *shape, into reflect.Value, key []byte, n int, known bool) error {
	switch {
	case !into.IsValid() || sh.kind == isAnything || sh.kind == isObject && !known:
		return s.value(sh.field(n, known), reflect.Value{})
	case known:
		for _, i := range sh.places[n] {
			into = into.Field(i)
		}
		return s.value(sh.fields[n], into)
	}
	element := reflect.New(into.Type().Elem()).Elem()
	if err := s.value(sh.of, element); err != nil {
		return err
	}
	into.SetMapIndex(reflect.ValueOf(string(key)).Convert(into.Type().Key()), element)
	return nil
}

// key reads a key and the colon.
func (s *scanner) key() ([]byte, error) {
	if s.space(); s.peek() != '"' {
		return nil, errors.New("a key without a quote")
	}
	from := s.i
	plain, err := s.quoted()
	if err != nil {
		return nil, err
	}
	key := s.b[from+1 : s.i-1]
	if !plain {
		var text string
		if err := json.Unmarshal(s.b[from:s.i], &text); err != nil {
			return nil, err
		}
		if key = []byte(text); isName(key) {
			return nil, fmt.Errorf("key %q is written with escapes", key)
		}
	}
	if !s.take(':') {
		return nil, errors.New("a key without a colon")
	}
	return key, nil
}

// twice finds a key that appears twice.
func twice(keys [][]byte) error {
	const few = 16
	if len(keys) > few {
		slices.SortFunc(keys, bytes.Compare)
	}
	for i, k := range keys {
		others := keys[i+1:]
		if len(keys) > few {
			others = others[:min(len(others), 1)]
		}
		for _, other := range others {
			if bytes.Equal(k, other) {
				return fmt.Errorf("key %.80q appears twice", k)
			}
		}
	}
	return nil
}

// isName says whether a key is a name rather than data: a name has only letters that JSON writes in
// just one way.
func isName(key []byte) bool {
	for _, c := range key {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return len(key) > 0
}
