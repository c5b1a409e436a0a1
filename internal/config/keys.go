package config

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
)

// Limits on the work of Redact: recording a command line must not take long.
const (
	maxExpressions  = 16
	maxExpression   = 256  // bytes
	maxInstructions = 1000 // of the program that an expression compiles to
)

// redacted replaces a secret, as it does for those that are always removed.
const redacted = "***"

// set gives a key a value: a string, a bool or a []string.
func (c *Config) set(key string, value any) (err error) {
	switch key {
	case "profile":
		err = as(&c.Profile, value, key, "a string", profileName)
	case "retention":
		err = as(&c.Retention, value, key, "a string", age)
	case "userdata":
		err = as(&c.UserData, value, key, "true or false", nil)
	case "redact":
		var list []string
		if err = as(&list, value, key, "a list of strings", tooMany); err == nil {
			c.Expressions = compile(list)
		}
	case "checkpoints_to_journal":
		err = as(&c.CheckpointsToJournal, value, key, "true or false", nil)
	default:
		return fmt.Errorf("unknown key %.40q: want %s", key, strings.Join(Keys(), ", "))
	}
	return err
}

// Keys returns all keys.
func Keys() (names []string) {
	for _, s := range builtIn() {
		names = append(names, s.Key)
	}
	return names
}

// as sets a value of a certain type, which must also pass check.
func as[T any](to *T, value any, key, want string, check func(T) error) error {
	v, ok := value.(T)
	if !ok {
		return fmt.Errorf("%s: want %s", key, want)
	}
	if check != nil {
		if err := check(v); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	*to = v
	return nil
}

func profileName(text string) error {
	strange := func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789._-", r) }
	if text == "" || len(text) > 64 || text[0] == '.' || strings.ContainsFunc(text, strange) {
		return fmt.Errorf("%.40q: want the name of a profile: lower case letters, digits, dots and dashes", text)
	}
	return nil
}

// age is a number of years, months or days.
func age(text string) error {
	number := strings.TrimRight(text, "ymd")
	if n, err := strconv.ParseUint(number, 10, 12); err != nil || n == 0 || len(text) != len(number)+1 {
		return fmt.Errorf("%.40q: want an age like 5y, 18m or 400d", text)
	}
	return nil
}

func tooMany(list []string) error {
	if len(list) > maxExpressions {
		return fmt.Errorf("%d expressions, want %d at most", len(list), maxExpressions)
	}
	return nil
}

// compile compiles expressions that were checked before.
func compile(list []string) (all []*regexp.Regexp) {
	for _, text := range list {
		if re, err := expression(text); err == nil {
			all = append(all, re)
		}
	}
	return all
}

// expression compiles an expression of redact (RE2's syntax). An expression that matches the empty
// text would redact every text everywhere.
func expression(text string) (*regexp.Regexp, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("redact: %.40q…: longer than %d bytes", text, maxExpression)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("redact: %q: %w", text, err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxInstructions {
		return nil, fmt.Errorf("redact: %q: takes too long to look for", text)
	}
	re, err := regexp.Compile(text)
	if err == nil && re.MatchString("") {
		return nil, fmt.Errorf("redact: %q: matches an empty text", text)
	}
	return re, err
}

// Redact replaces what the expressions match in an argument of a command line.
func (c *Config) Redact(arg string) string {
	for _, re := range c.Expressions {
		arg = re.ReplaceAllLiteralString(arg, redacted)
	}
	return arg
}
