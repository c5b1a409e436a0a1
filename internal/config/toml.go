package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The files are TOML 1.0, but only what the keys need is read: a key, and a string on one line, a
// boolean or a list of strings. A complete TOML parser would be linked into the plugin, which
// starts in every commit; measurements show that this would cost 2 to 3 % of its start time and
// read the machine's time zone each time. A test compares the two.

// statement is KEY = VALUE.
type statement struct {
	key   string
	line  int // from 1
	value any // string, bool or []item
}

// item is a string in a list.
type item struct {
	text string
	line int
}

// fault is what is wrong in a line.
type fault struct {
	line int
	err  error
}

// parser is a position in a text.
type parser struct {
	rest string
	line int
}

// parse reads a file. After a fault it continues with the next line.
func parse(text string) (list []statement, faults []fault) {
	p := &parser{strings.ReplaceAll(text, "\r\n", "\n"), 1}
	for p.blank(); p.rest != ""; p.blank() {
		s, err := p.statement()
		switch {
		case err != nil:
			faults = append(faults, fault{p.line, err})
			p.upTo("\n")
		case slices.ContainsFunc(list, func(before statement) bool { return before.key == s.key }):
			faults = append(faults, fault{s.line, fmt.Errorf("%s: set a second time", s.key)})
		default:
			list = append(list, s)
		}
	}
	for number, line := range strings.Split(text, "\n") {
		if err := onlyText(strings.TrimSuffix(line, "\r")); err != nil {
			return nil, []fault{{number + 1, err}}
		}
	}
	return list, faults
}

// onlyText says what in a line is not text; with that, no reading can be trusted.
func onlyText(line string) error {
	if !utf8.ValidString(line) {
		return errors.New("not UTF-8")
	}
	if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return fmt.Errorf("control character %q", line[i])
	}
	return nil
}

// statement reads to the end of its last line.
func (p *parser) statement() (s statement, err error) {
	s.key, s.line = p.while(isBare), p.line
	p.while(isSpace)
	if s.key == "" || !p.take("=") {
		return s, fmt.Errorf("want KEY = VALUE, not %.40q", p.upTo("\n"))
	}
	p.while(isSpace)
	if s.value, err = p.value(); err != nil {
		return s, fmt.Errorf("%.40s: %w", s.key, err)
	}
	p.while(isSpace)
	if p.rest != "" && p.rest[0] != '\n' && p.rest[0] != '#' {
		return s, fmt.Errorf("%.40s: %.40q behind the value", s.key, p.upTo("\n"))
	}
	return s, nil
}

func (p *parser) value() (any, error) {
	switch {
	case strings.HasPrefix(p.rest, `"`), strings.HasPrefix(p.rest, "'"):
		return p.text()
	case p.take("["):
		return p.list()
	}
	switch word := p.while(isBare); word {
	case "true", "false":
		return word == "true", nil
	}
	return nil, errors.New("want a string in quotes, true, false or a list of strings")
}

// list reads a list whose opening bracket has been read.
func (p *parser) list() (items []item, err error) {
	for p.blank(); !p.take("]"); p.blank() {
		if p.rest == "" || p.rest[0] != '"' && p.rest[0] != '\'' {
			return nil, errors.New("want strings in quotes, and ] at the end of the list")
		}
		it := item{line: p.line}
		if it.text, err = p.text(); err != nil {
			return nil, err
		}
		items = append(items, it)
		if p.blank(); !p.take(",") && !strings.HasPrefix(p.rest, "]") {
			return nil, errors.New("want a comma between strings, and ] at the end of the list")
		}
	}
	return items, nil
}

// text reads a string: literal between ', with escapes between ".
func (p *parser) text() (string, error) {
	quote := p.rest[:1]
	if strings.HasPrefix(p.rest, strings.Repeat(quote, 3)) {
		return "", errors.New("a string over several lines is not read here")
	}
	end := 1
	for ; end < len(p.rest) && p.rest[end] != quote[0] && p.rest[end] != '\n'; end++ {
		if quote == `"` && p.rest[end] == '\\' {
			if end+1 == len(p.rest) || !strings.ContainsRune(`btnfr"\uU`, rune(p.rest[end+1])) {
				return "", errors.New(`no such escape in "…"; between '…' a backslash is a backslash`)
			}
			end++
		}
	}
	if end >= len(p.rest) || p.rest[end] != quote[0] {
		return "", errors.New("the string does not end in its line")
	}
	whole := p.rest[:end+1]
	p.rest = p.rest[end+1:]
	if quote == "'" {
		return whole[1:end], nil
	}
	// Go's strings have all the escapes that TOML has.
	text, err := strconv.Unquote(whole)
	if err != nil {
		return "", fmt.Errorf("%.40s: %w", whole, err)
	}
	return text, nil
}

// blank skips white space, line ends and comments.
func (p *parser) blank() {
	for p.rest != "" {
		switch {
		case p.take("\n"):
			p.line++
		case p.rest[0] == '#':
			p.upTo("\n")
		case isSpace(p.rest[0]):
			p.rest = p.rest[1:]
		default:
			return
		}
	}
}

func (p *parser) take(text string) bool {
	rest, ok := strings.CutPrefix(p.rest, text)
	p.rest = rest
	return ok
}

// upTo skips to the next end, and returns what precedes it.
func (p *parser) upTo(end string) string {
	before, _, _ := strings.Cut(p.rest, end)
	p.rest = p.rest[len(before):]
	return before
}

func (p *parser) while(is func(byte) bool) string {
	n := 0
	for n < len(p.rest) && is(p.rest[n]) {
		n++
	}
	before := p.rest[:n]
	p.rest = p.rest[n:]
	return before
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func isBare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
