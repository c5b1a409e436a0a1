package zypp

import (
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

const (
	maxScripts = 100 // recorded for one commit
	maxOutput  = 200 // bytes of the first thing a script printed
)

// Script is a package script that failed. The package may still be installed.
type Script struct {
	Package string // name-version-release.arch
	// Script has an output only if the history says which script printed it.
	record.Script
}

// Scripts finds failed scripts in the comments of a history; libzypp reports them nowhere else. It
// notes them in three ways: rpm's own words, in the middle of what was printed; "<package>
// %posttrans script failed" after a comment with the output (until 17.28); and "Failed to execute
// <script> script" before it (TargetImpl.cc, all packages in one transaction).
type Scripts struct {
	Failed []Script

	own    bool    // the following lines come from one script alone
	output string  // the first of them
	open   *Script // it has failed, and its lines may still come
}

var (
	scriptFailed  = pattern(`^(?:warning|error): %([a-z]+)\(([^ ()]+)\) scriptlet failed, ((?:exit status|signal) [0-9]+)$`)
	scriptFailed1 = pattern(`^([^ ]+) %(posttrans) script failed \(returned ([0-9]+)\)$`)
	scriptFailed2 = pattern(`^Failed to execute ([a-z]+) script for ([^ ]+) *$`)
	// scriptOutput is translated, so only the script's name matters.
	scriptOutput = pattern(`%[a-z]+\([^ ()]+\)|^Output of [^ ]+ %posttrans script:$`)
)

// pattern compiles a pattern on first use: most commits need none.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// Comment adds the next comment of a history, including its leading "#".
func (s *Scripts) Comment(text string) {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "#"), " ")
	if len(text) > len(historyTime) {
		if _, err := time.Parse(historyTime, text[:len(historyTime)]); err == nil {
			s.headline(text[len(historyTime)+1:])
			return
		}
	}
	s.line(text)
}

// Record says that a line other than a comment comes in between.
func (s *Scripts) Record() { s.own, s.output, s.open = false, "", nil }

// headline reads a comment with a time, which begins something new.
func (s *Scripts) headline(text string) {
	output := s.output
	s.Record()
	if m := scriptFailed1().FindStringSubmatch(text); m != nil {
		s.add(Script{strings.TrimSuffix(m[1], ".rpm"), record.Script{Script: m[2], Status: "exit status " + m[3], Output: output}})
	} else if m := scriptFailed2().FindStringSubmatch(text); m != nil && m[2] != "unknown" {
		s.open = s.add(Script{m[2], record.Script{Script: m[1]}})
		s.own = true
	} else {
		s.own = scriptOutput().MatchString(text)
	}
}

// line reads a line that a script, or rpm, printed.
func (s *Scripts) line(text string) {
	m := scriptFailed().FindStringSubmatch(text)
	switch {
	case m != nil && s.open != nil && s.open.Package == m[2]:
		s.open.Status, s.open = m[3], nil
	case m != nil:
		s.add(Script{strings.TrimSuffix(m[2], ".rpm"), record.Script{Script: m[1], Status: m[3], Output: s.output}})
		s.Record()
	case !s.own || s.output != "" || text == "rpm output:":
	default:
		s.output = firstOf(strings.TrimSpace(text))
		if s.open != nil {
			s.open.Output = s.output
		}
	}
}

func (s *Scripts) add(failed Script) *Script {
	if len(s.Failed) == maxScripts {
		return nil
	}
	s.Failed = append(s.Failed, failed)
	return &s.Failed[len(s.Failed)-1]
}

// firstOf is the beginning of a line of any length.
func firstOf(text string) string {
	if len(text) <= maxOutput {
		return text
	}
	return strings.ToValidUTF8(text[:maxOutput], "") + "…"
}
