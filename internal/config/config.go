// Package config reads klp-audit.toml, the configuration. The plugin reads it in commits, so no
// error in it stops anything: a wrong entry is left out and reported with file and line, and the
// rest applies.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

const (
	// BuiltIn is the origin of a value that no file sets.
	BuiltIn = "built in"

	adminFile   = "/etc/klp-audit/klp-audit.toml"
	vendorFile  = "/usr/etc/klp-audit/klp-audit.toml"
	dropIns     = ".d"
	maxFile     = 64 << 10
	maxProblems = 20 // of one file
)

// Config is the effective configuration. klp-audit.toml(5) explains the keys.
type Config struct {
	Profile              string           // used by reports and check unless one is named
	Retention            string           // how much of the record prune keeps by default: an age like 5y, 18m or 400d
	UserData             bool             // whether zypper's --userdata is recorded
	CheckpointsToJournal bool             // whether the journal gets a copy of each checkpoint
	Expressions          []*regexp.Regexp // what Redact removes
	Settings             []Setting        // every key, in the order of the man page
	Problems             []Problem        // what was left out
}

// Setting is the value of a key and where it comes from.
type Setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`  // a string, a bool or a []string
	Origin string `json:"origin"` // FILE:LINE, or BuiltIn
}

// Problem is what is wrong in a file, or with it.
type Problem struct {
	File string
	Line int // from 1; 0: the whole file
	Err  error
}

// Error says where it is and what is wrong.
func (p Problem) Error() string {
	if p.Line == 0 {
		return fmt.Sprintf("configuration %s: %v", p.File, p.Err)
	}
	return fmt.Sprintf("configuration %s:%d: %v", p.File, p.Line, p.Err)
}

// Unwrap returns what is wrong.
func (p Problem) Unwrap() error { return p.Err }

// builtIn are the values without any file. It contains every key.
func builtIn() []Setting {
	return []Setting{
		{"profile", "default", BuiltIn},
		{"retention", "5y", BuiltIn},
		{"userdata", true, BuiltIn},
		{"redact", []string{}, BuiltIn},
		{"checkpoints_to_journal", true, BuiltIn},
	}
}

// Read returns the configuration of the machine whose file tree is at root: the vendor's file or,
// instead of it, the administrator's, and then the drop-ins in the order of their names (the UAPI
// configuration files specification, as libeconf implements it).
func Read(root string) *Config {
	c := &Config{}
	for _, s := range builtIn() {
		c.set(s.Key, s.Value)
		c.Settings = append(c.Settings, s)
	}
	main := adminFile
	if _, err := os.Lstat(filepath.Join(root, main)); errors.Is(err, fs.ErrNotExist) {
		main = vendorFile
	}
	c.read(root, main, true)
	more, err := rooted.DropIns(root, ".toml", adminFile+dropIns, vendorFile+dropIns)
	if err != nil {
		c.Problems = append(c.Problems, Problem{File: adminFile + dropIns, Err: err})
	}
	for _, name := range more {
		c.read(root, name, false)
	}
	return c
}

// read applies a file on top of what was read before.
func (c *Config) read(root, name string, optional bool) {
	if target, _ := os.Readlink(filepath.Join(root, name)); target == os.DevNull {
		return // this is how a file is switched off
	}
	text, err := rooted.ReadFile(root, name)
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("longer than %d bytes", maxFile)
	}
	if err != nil {
		if !optional || !errors.Is(err, fs.ErrNotExist) {
			c.Problems = append(c.Problems, Problem{File: name, Err: err})
		}
		return
	}
	statements, faults := parse(text)
	for _, s := range statements {
		faults = append(faults, c.take(s, name)...)
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return a.line - b.line })
	for i, f := range faults {
		if i == maxProblems {
			c.Problems = append(c.Problems, Problem{File: name, Err: fmt.Errorf("%d more mistakes", len(faults)-i)})
			break
		}
		c.Problems = append(c.Problems, Problem{name, f.line, f.err})
	}
}

// take applies a statement, as far as it is right.
func (c *Config) take(s statement, name string) (faults []fault) {
	value := s.value
	if items, ok := value.([]item); ok {
		value, faults = rightItems(s.key, items)
	}
	if err := c.set(s.key, value); err != nil {
		return []fault{{s.line, err}}
	}
	i := slices.IndexFunc(c.Settings, func(known Setting) bool { return known.Key == s.key })
	c.Settings[i] = Setting{s.key, value, fmt.Sprintf("%s:%d", name, s.line)}
	return faults
}

// rightItems are the items of a list that are valid for a key.
func rightItems(key string, items []item) (right []string, faults []fault) {
	right = []string{}
	for _, it := range items {
		if _, err := expression(it.text); key == "redact" && err != nil {
			faults = append(faults, fault{it.line, err})
			continue
		}
		right = append(right, it.text)
	}
	return right, faults
}
