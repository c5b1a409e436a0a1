package zypp

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// Lock keeps libzypp from installing, changing or removing what it matches, see locks(5).
type Lock struct {
	File          string   `json:"file"`
	Line          int      `json:"line"`  // where it begins
	Types         []string `json:"types"` // package, patch, …; none: all
	MatchType     string   `json:"match_type"`
	CaseSensitive bool     `json:"case_sensitive"`
	Names         []string `json:"names"`    // any of them matches
	Versions      []string `json:"versions"` // restrict the lock, as "> 4.2"
	Repos         []string `json:"repos"`    // likewise
	Status        string   `json:"install_status"`
	Other         []string `json:"other"` // conditions on other attributes, as they stand
	query         []string
	anyName       bool // the query is for names
	complex       bool
}

// Locks lists the locks that libzypp applies. The file need not be there.
func Locks(root string) ([]Lock, error) {
	conf, err := readConf(root)
	if err != nil {
		return nil, err
	}
	if apply := boolean(confValue(conf, "main", "locksfile.apply")); !orDefault(apply, true) {
		return []Lock{}, nil
	}
	name := confPath(conf, "locksfile.path", "/etc/zypp/locks")
	text, err := rooted.ReadFile(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return []Lock{}, nil
	}
	if err != nil {
		return nil, err
	}
	return parseLocks(name, text)
}

// parseLocks parses stanzas between blank lines; older libzypp put dashes around "locks".
func parseLocks(name, text string) ([]Lock, error) {
	locks, open, number := []Lock{}, false, 0
	for line := range strings.Lines(text) {
		number++
		line = strings.ToValidUTF8(strings.TrimSpace(line), "\uFFFD")
		if line == "" || strings.HasPrefix(line, "-----") {
			open = false
			continue
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("parsing locks %s:%d: %.100q is no attribute", name, number, line)
		}
		if !open {
			locks = append(locks, Lock{File: name, Line: number, MatchType: "substring", Status: "all"})
			open = true
		}
		if err := locks[len(locks)-1].set(strings.TrimSpace(key), strings.TrimSpace(value)); err != nil {
			return nil, fmt.Errorf("parsing locks %s:%d: %w", name, number, err)
		}
	}
	return locks, nil
}

func (l *Lock) set(key, value string) error {
	switch key {
	case "type":
		l.Types = append(l.Types, value)
	case "repo":
		l.Repos = append(l.Repos, value)
	case "version":
		l.Versions = append(l.Versions, value)
	case "install_status":
		l.Status = value
	case "match_type":
		if !slices.Contains([]string{"exact", "substring", "regex", "glob", "word"}, value) {
			return fmt.Errorf("unknown match type %.100q", value)
		}
		l.MatchType = value
	case "case_sensitive":
		l.CaseSensitive = orDefault(boolean(value), false)
	case "query_string":
		l.query = append(l.query, value)
		l.Other = append(l.Other, key+": "+value)
	case "solvable_name":
		if value == "" {
			l.anyName = true
			return nil
		}
		name, version := splitVersion(value)
		l.Names = append(l.Names, name)
		if version != "" {
			l.Versions = append(l.Versions, version)
		}
	default:
		l.complex = l.complex || key == "complex"
		l.Other = append(l.Other, key+": "+value)
	}
	return nil
}

// splitVersion splits "NAME OP VERSION", as zypper's addlock writes it; libzypp takes the
// condition for one on the version (PoolQuery.cc, bsc#1112911).
func splitVersion(value string) (name, version string) {
	f := strings.Fields(value)
	if len(f) != 3 || !slices.Contains([]string{"=", "==", "!=", "<>", "<", "<=", "=<", ">", ">=", "=>"}, f[1]) {
		return value, ""
	}
	return f[0], f[1] + " " + f[2]
}

// Matches tells whether the lock holds for packages of a name, perhaps only for some of their
// versions or repositories. It is an error if that is not known.
func (l Lock) Matches(name string) (bool, error) {
	if len(l.Types) > 0 && !slices.Contains(l.Types, "package") {
		return false, nil
	}
	patterns := l.Names
	if l.anyName || len(l.Names) == 0 {
		patterns = slices.Concat(l.Names, l.query)
	}
	for _, pattern := range patterns {
		matches, err := l.match(pattern, name)
		if err != nil {
			return false, fmt.Errorf("matching lock %s:%d: %w", l.File, l.Line, err)
		}
		if matches {
			return true, nil
		}
	}
	if l.complex {
		return false, fmt.Errorf("matching lock %s:%d: its complex condition is not understood", l.File, l.Line)
	}
	return false, nil
}

func (l Lock) match(pattern, name string) (bool, error) {
	switch l.MatchType {
	case "regex":
		return l.matchRegexp(pattern, name)
	case "word":
		return l.matchRegexp(`\b`+regexp.QuoteMeta(pattern)+`\b`, name)
	}
	if !l.CaseSensitive {
		pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	}
	switch l.MatchType {
	case "exact":
		return pattern == name, nil
	case "glob":
		return path.Match(pattern, name)
	}
	return strings.Contains(name, pattern), nil
}

func (l Lock) matchRegexp(pattern, name string) (bool, error) {
	if !l.CaseSensitive {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	return err == nil && re.MatchString(name), err
}
