package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
)

// text reads a string or a time.
func (s *scanner) text(sh *shape, into reflect.Value) error {
	from := s.i
	plain, err := s.quoted()
	quoted := s.b[from:s.i]
	switch {
	case err != nil:
		return err
	case sh.kind == isMoment && into.IsValid():
		return into.Addr().Interface().(*Timestamp).parse(quoted)
	case sh.kind == isMoment:
		return new(Timestamp).parse(quoted)
	case !into.IsValid():
		return nil
	case plain:
		into.SetString(s.all[from+1 : s.i-1])
		return nil
	}
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return err
	}
	into.SetString(text)
	return nil
}

// plainText says for each byte whether it stands for itself in a string.
var plainText = func() (plain [256]bool) {
	for c := ' '; c < 256; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// quoted reads a string. plain says whether it has no escapes.
func (s *scanner) quoted() (plain bool, err error) {
	plain = true
	for s.i++; ; s.i++ {
		b, i := s.b, s.i
		for i < len(b) && plainText[b[i]] {
			i++
		}
		switch s.i = i; {
		case i == len(b):
			return false, errors.New("a text without an end")
		case b[i] == '"':
			s.i++
			return plain, nil
		case b[i] < ' ':
			return false, fmt.Errorf("control character %q in a text", b[i])
		}
		plain = false
		if err := s.escape(); err != nil {
			return false, err
		}
	}
}

// escape reads the rest of an escape, up to its last byte. It refuses half of a surrogate pair,
// which is no character: some readers keep it, others replace it.
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

func (s *scanner) number(sh *shape, into reflect.Value) error {
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
	const short = 18 // this many digits fit in any integer
	if !integer || s.i-whole > short || whole > from && sh.kind == isUnsigned {
		if err := sh.fits(string(s.b[from:s.i]), integer); err != nil {
			return err
		}
	}
	if into.IsValid() {
		setNumber(into, s.all[from:s.i])
	}
	return nil
}

// setNumber sets a value to a number that is known to fit.
func setNumber(into reflect.Value, text string) {
	switch into.Kind() {
	case reflect.Float64:
		f, _ := strconv.ParseFloat(text, 64)
		into.SetFloat(f)
	case reflect.Uint64:
		n, _ := strconv.ParseUint(text, 10, 64)
		into.SetUint(n)
	default:
		n, _ := strconv.ParseInt(text, 10, 64)
		into.SetInt(n)
	}
}

func (s *scanner) digits() (n int) {
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
		n++
	}
	return n
}

// fits checks that the Go type can hold a number, so that everybody reads it alike.
func (sh *shape) fits(number string, integer bool) (err error) {
	switch {
	case sh.kind == isInteger && !integer || sh.kind == isUnsigned && !integer:
		return fmt.Errorf("number %.40s is not an integer", number)
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
