package livepatch

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// ErrNoCoverage says that the lifecycle data does not say how long a live patch is supported.
var ErrNoCoverage = errors.New("the lifecycle data names no date")

// CoverageEnd finds until when the live patch package pkg, and with it its kernel, gets fixes.
// version is version-release; "*" asks for what applies to all versions.
//
// The data is that of zypper-lifecycle: lines "name, version, date[, successor]" where name and
// version may contain *, and a name in slashes is a regular expression. The last matching line
// counts; a line without a date cancels an earlier one. The files are named after the product,
// sle-module-live-patching.lifecycle or sle-live-patching.lifecycle.
func CoverageEnd(root, pkg, version string) (record.Coverage, error) {
	var found record.Coverage
	var read []string
	for _, folder := range []string{"/var/lib/lifecycle/data", "/usr/lib/lifecycle/data", "/usr/share/lifecycle/data"} {
		entries, err := rooted.ReadDir(root, folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return record.Coverage{}, err
		}
		for _, e := range entries {
			if !globMatch("*live-patching*.lifecycle", e.Name()) {
				continue
			}
			file := path.Join(folder, e.Name())
			text, err := rooted.ReadFile(root, file)
			if err != nil {
				return record.Coverage{}, err
			}
			if err := lastMatch(text, file, pkg, version, &found); err != nil {
				return record.Coverage{}, err
			}
			read = append(read, file)
		}
	}
	switch {
	case len(read) == 0:
		return record.Coverage{}, fmt.Errorf("%w: there is no *live-patching*.lifecycle in the lifecycle/data folders of /var/lib, /usr/lib and /usr/share", ErrNoCoverage)
	case found.Line == 0:
		return record.Coverage{}, fmt.Errorf("%w for %s %s: no line of %s is about it", ErrNoCoverage, pkg, version, strings.Join(read, ", "))
	case found.Date == "":
		return record.Coverage{}, fmt.Errorf("%w for %s %s: %s:%d has none", ErrNoCoverage, pkg, version, found.File, found.Line)
	}
	return found, nil
}

// lastMatch stores the last line of a file that concerns the package in found.
func lastMatch(text, file, pkg, version string, found *record.Coverage) error {
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Split(line, ",")
		for i := range fields {
			fields[i] = strings.Trim(fields[i], " \t\r\n\"")
		}
		if strings.HasPrefix(fields[0], "#") || len(fields) < 2 || !globMatch(fields[1], version) {
			continue
		}
		matches, err := nameMatch(fields[0], pkg)
		if err != nil {
			return fmt.Errorf("parsing %s:%d: name %.100q: %w", file, number, fields[0], err)
		}
		if !matches {
			continue
		}
		*found = record.Coverage{File: file, Line: number, Name: fields[0], Version: fields[1]}
		if len(fields) < 3 || fields[2] == "" {
			continue
		}
		if found.Date, err = day(fields[2]); err != nil {
			return fmt.Errorf("parsing %s:%d: %w", file, number, err)
		}
	}
	return nil
}

// nameMatch matches a package name against a glob or a /regular expression/.
func nameMatch(pattern, pkg string) (bool, error) {
	if len(pattern) < 2 || pattern[0] != '/' || pattern[len(pattern)-1] != '/' {
		return globMatch(pattern, pkg), nil
	}
	re, err := regexp.Compile(pattern[1 : len(pattern)-1])
	if err != nil {
		return false, err
	}
	return re.MatchString(pkg), nil
}

// globMatch matches a text against a pattern in which * stands for any text.
func globMatch(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok || last == 0 {
		return ok && text == ""
	}
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return strings.HasSuffix(text, parts[last])
}

// day reads a date, perhaps followed by a time of day, which is ignored.
func day(text string) (string, error) {
	date, _, _ := strings.Cut(strings.Replace(text, "T", " ", 1), " ")
	for _, layout := range []string{time.DateOnly, "2006/01/02", "20060102"} {
		if d, err := time.Parse(layout, date); err == nil {
			return d.Format(time.DateOnly), nil
		}
	}
	return "", fmt.Errorf("%.100q is not a date", text)
}
