package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how deep SQLite nests JSON (JSON_MAX_DEPTH).
const maxDepth = 1000

// scan checks that everybody reads a body in the same way. at gives the places of the values of its
// outermost keys, as far as the shape knows them.
func scan(body []byte, sh *shape) (at []span, err error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	s := scanner{b: body}
	if s.space(); s.peek() != '{' {
		return nil, errors.New("not an object of JSON")
	}
	s.outer = make([]span, len(sh.names))
	if err := s.value(sh); err != nil {
		return nil, fmt.Errorf("byte %d: %w", s.i+1, err)
	}
	if s.space(); s.i < len(body) {
		return nil, fmt.Errorf("byte %d: more follows", s.i+1)
	}
	return s.outer, nil
}

// span is the place of a value in a body; empty: the value is not there.
type span struct{ from, to int }

func (p span) of(body []byte) []byte { return body[p.from:p.to] }

// scanner reads a body once, and remembers the keys of the objects that it is in.
type scanner struct {
	b     []byte
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
	for s.i < len(s.b) && s.b[s.i] <= ' ' && bytes.IndexByte([]byte(" \t\r\n"), s.b[s.i]) >= 0 {
		s.i++
	}
}

// take takes a byte, if it comes next.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.peek() != c {
		return false
	}
	s.i++
	return true
}

func (s *scanner) value(sh *shape) error {
	s.space()
	from := s.i
	switch c := s.peek(); {
	case c == 'n':
		if sh.kind == isMoment && !sh.optional {
			return errors.New("no time")
		}
		return s.word("null")
	case !sh.begins(c):
		return fmt.Errorf("%q begins no %s", c, sh.kind)
	case c == '{' || c == '[':
		if s.depth++; s.depth > maxDepth {
			return fmt.Errorf("nested more than %d deep", maxDepth)
		}
		defer func() { s.depth-- }()
		s.i++
		if c == '{' {
			return s.object(sh)
		}
		return s.list(sh)
	case c == '"':
		if _, err := s.text(); err != nil || sh.kind != isMoment {
			return err
		}
		return new(Timestamp).parse(s.b[from:s.i])
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	}
	return s.number(sh)
}

func (s *scanner) word(w string) error {
	if !bytes.HasPrefix(s.b[s.i:], []byte(w)) {
		return errors.New("not JSON")
	}
	s.i += len(w)
	return nil
}

func (s *scanner) list(sh *shape) error {
	if s.take(']') {
		return nil
	}
	for {
		if err := s.value(sh.of); err != nil {
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

func (s *scanner) object(sh *shape) error {
	first := len(s.keys)
	defer func() { s.keys = s.keys[:first] }()
	if s.take('}') {
		return nil
	}
	var seen uint64 // of the fields that the shape knows
	for {
		key, err := s.key()
		if err != nil {
			return err
		}
		n, known := sh.index[string(key)]
		switch {
		case known && seen&(1<<n) != 0:
			return fmt.Errorf("key %q is there twice", key)
		case known:
			seen |= 1 << n
		case sh.kind != isTable && !isName(key):
			return fmt.Errorf("key %.80q is not in lower case", key)
		default:
			s.keys = append(s.keys, key)
		}
		s.space()
		from := s.i
		if err := s.value(sh.field(n, known)); err != nil {
			return err
		}
		if known && s.depth == 1 {
			s.outer[n] = span{from, s.i}
		}
		if s.take('}') {
			return twice(s.keys[first:])
		}
		if !s.take(',') {
			return errors.New("an object without an end")
		}
	}
}

// key reads a key and the colon.
func (s *scanner) key() ([]byte, error) {
	if s.space(); s.peek() != '"' {
		return nil, errors.New("a key without a quote")
	}
	from := s.i
	plain, err := s.text()
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

// twice finds a key that is there twice.
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
				return fmt.Errorf("key %.80q is there twice", k)
			}
		}
	}
	return nil
}

// isName says whether a key is a name, not data: a name has only letters that JSON writes in one way.
func isName(key []byte) bool {
	for _, c := range key {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return len(key) > 0
}

// text reads a string. plain says whether it has no escapes.
func (s *scanner) text() (plain bool, err error) {
	plain = true
	for s.i++; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return plain, nil
		case c < ' ':
			return false, fmt.Errorf("control character %q in a text", c)
		case c == '\\':
			plain = false
			if err := s.escape(); err != nil {
				return false, err
			}
		}
	}
	return false, errors.New("a text without an end")
}

// escape reads the rest of an escape, up to its last byte. It refuses half of a surrogate pair, which is
// no character: some readers keep it, others replace it.
func (s *scanner) escape() error {
	s.i++
	if s.peek() != 'u' {
		if s.i >= len(s.b) || bytes.IndexByte([]byte(`"\/bfnrt`), s.b[s.i]) < 0 {
			return errors.New("an escape that JSON does not know")
		}
		return nil
	}
	r, err := s.hex()
	if err != nil || r < 0xd800 || r > 0xdfff {
		return err
	}
	if r < 0xdc00 && bytes.HasPrefix(s.b[s.i+1:], []byte(`\u`)) {
		s.i += 2
		if low, err := s.hex(); err != nil || low >= 0xdc00 && low <= 0xdfff {
			return err
		}
	}
	return errors.New("half of a surrogate pair")
}

// hex reads the four digits of an escape, up to the last one.
func (s *scanner) hex() (uint64, error) {
	if len(s.b) < s.i+5 {
		return 0, errors.New("an escape without an end")
	}
	r, err := strconv.ParseUint(string(s.b[s.i+1:s.i+5]), 16, 16)
	s.i += 4
	return r, err
}

func (s *scanner) number(sh *shape) error {
	from := s.i
	if s.peek() == '-' {
		s.i++
	}
	whole := s.i
	if s.digits() == 0 || s.b[whole] == '0' && s.i > whole+1 {
		return errors.New("not JSON")
	}
	integer := true
	if s.peek() == '.' {
		s.i++
		if integer = false; s.digits() == 0 {
			return errors.New("a number without an end")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		if s.i++; s.peek() == '+' || s.peek() == '-' {
			s.i++
		}
		if integer = false; s.digits() == 0 {
			return errors.New("a number without an end")
		}
	}
	const short = 18 // digits fit in any integer
	if integer && s.i-whole <= short && (whole == from || sh.kind != isUnsigned) {
		return nil
	}
	return sh.fits(string(s.b[from:s.i]), integer)
}

func (s *scanner) digits() (n int) {
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
		n++
	}
	return n
}

// fits checks that the type of Go holds a number, so that everybody reads it in the same way.
func (sh *shape) fits(number string, integer bool) (err error) {
	switch {
	case sh.kind == isInteger && !integer || sh.kind == isUnsigned && !integer:
		return fmt.Errorf("number %.40s is no integer", number)
	case sh.kind == isInteger:
		_, err = strconv.ParseInt(number, 10, 64)
	case sh.kind == isUnsigned || integer && number[0] != '-':
		_, err = strconv.ParseUint(number, 10, 64)
	case integer:
		_, err = strconv.ParseInt(number, 10, 64)
	default:
		var f float64
		if f, err = strconv.ParseFloat(number, 64); math.IsInf(f, 0) {
			err = strconv.ErrRange
		}
	}
	if err != nil {
		return fmt.Errorf("number %.40s is out of range", number)
	}
	return nil
}
