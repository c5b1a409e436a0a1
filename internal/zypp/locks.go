package zypp

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// Locks lists the locks that libzypp applies. The file may be missing.
func Locks(root string) (record.Locks, error) {
	conf, err := readConf(root)
	if err != nil {
		return nil, err
	}
	if apply := boolean(conf.Get("main", "locksfile.apply")); !orDefault(apply, true) {
		return record.Locks{}, nil
	}
	name := confPath(conf, "locksfile.path", "/etc/zypp/locks")
	text, err := rooted.ReadFile(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return record.Locks{}, nil
	}
	if err != nil {
		return nil, err
	}
	return parseLocks(name, text)
}

// parseLocks parses stanzas separated by blank lines; older versions of libzypp put dashes around
// "locks".
func parseLocks(name, text string) (record.Locks, error) {
	locks, open, number := record.Locks{}, false, 0
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
			return nil, fmt.Errorf("parsing locks %s:%d: %.100q is not an attribute", name, number, line)
		}
		if !open {
			locks = append(locks, record.Lock{File: name, Line: number, MatchType: "substring", Status: "all"})
			open = true
		}
		if err := setLock(&locks[len(locks)-1], strings.TrimSpace(key), strings.TrimSpace(value)); err != nil {
			return nil, fmt.Errorf("parsing locks %s:%d: %w", name, number, err)
		}
	}
	return locks, nil
}

// setLock adds an attribute of a stanza to its lock.
func setLock(l *record.Lock, key, value string) error {
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
	case "solvable_name":
		if value == "" {
			return nil // the query is about names
		}
		name, version := splitVersion(value)
		l.Names = append(l.Names, name)
		if version != "" {
			l.Versions = append(l.Versions, version)
		}
	default:
		l.Other = append(l.Other, key+": "+value)
	}
	return nil
}

// splitVersion splits "NAME OP VERSION", as zypper's addlock writes it; libzypp treats it as a
// condition on the version (PoolQuery.cc, bsc#1112911).
func splitVersion(value string) (name, version string) {
	f := strings.Fields(value)
	if len(f) != 3 || !slices.Contains([]string{"=", "==", "!=", "<>", "<", "<=", "=<", ">", ">=", "=>"}, f[1]) {
		return value, ""
	}
	return f[0], f[1] + " " + f[2]
}
