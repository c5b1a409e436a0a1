package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/say"
)

// said is what ingest says of a file. Its JSON is published: all keys are always there.
type said struct {
	File     string         `json:"file"`
	Outcome  ingest.Outcome `json:"outcome"`
	Log      string         `json:"log"`  // id; empty: none of this key is known
	Name     string         `json:"name"` // of the log's first key
	Hostname string         `json:"hostname"`
	State    pg.State       `json:"state"`
	Branch   int            `json:"branch"`
	Events   int64          `json:"events"` // that the collector has in this branch now
	Since    int64          `json:"since"`  // the file brings the events after this one …
	Upto     int64          `json:"upto"`   // … up to this one
	New      int64          `json:"new"`    // how many of them were not known
	Common   *int64         `json:"common"` // of a fork: the last event that both histories are known to share
	Problems []string       `json:"problems"`
}

// of is what became of an upload.
func of(file string, a *ingest.Answer) *said {
	problems := a.Problems
	if problems == nil {
		problems = []string{}
	}
	return &said{file, a.Outcome, a.Log, a.Name, a.Hostname, a.State, a.Branch, a.Size, a.Since, a.Upload, a.New, a.Common, problems}
}

// notTaken is a file of which nothing was kept.
func notTaken(file string, err error) *said {
	text := oneLine(err.Error())
	switch {
	case errors.Is(err, ingest.ErrTooMuch):
		text += ": flags of ingest raise the limits"
	case errors.Is(err, pg.ErrLimit):
		text += ": in a day, see --max-day-events and --max-day-size; of branches, 100"
	}
	return &said{File: file, Outcome: unread, Problems: []string{text}}
}

// write writes one line, one more for each problem, and what to do.
func (s *said) write(w io.Writer) error {
	text := fmt.Sprintf("%s: %s", s.File, s.Outcome)
	switch {
	case s.Outcome == unread:
	case s.Hostname != "" && s.Name != "":
		text += fmt.Sprintf(": %s (%s)", s.Hostname, s.Name)
	default:
		text += ": " + cmp.Or(s.Hostname, s.Name, "an unknown host")
	}
	_, err := fmt.Fprintln(w, say.Printable(text+s.brought()))
	for i, p := range s.Problems {
		if i == 5 {
			fmt.Fprintf(w, "    and %d more\n", len(s.Problems)-i)
			break
		}
		fmt.Fprintf(w, "    %s\n", say.Clip(p, 300))
	}
	if do := s.do(); do != "" {
		fmt.Fprintf(w, "    do: %s\n", do)
	}
	return err
}

// brought says what an upload changed.
func (s *said) brought() string {
	switch s.Outcome {
	case ingest.Stored:
		return fmt.Sprintf(", %s, now %d", say.Plural(int(s.New), "new event"), s.Events)
	case ingest.Known:
		return ", all " + say.Plural(int(s.Events), "event")
	case ingest.Behind:
		return fmt.Sprintf(", it ends at event %d of %d", s.Upto, s.Events)
	case ingest.Forked, ingest.NewKey:
		return fmt.Sprintf(", %s in branch %d", say.Plural(int(s.New), "new event"), s.Branch)
	}
	return ""
}

// do says what helps.
func (s *said) do() string {
	switch {
	case s.Outcome == ingest.Waiting:
		since := int64(0)
		if s.Log != "" {
			since = s.Events
		}
		return fmt.Sprintf("send what `klp-audit export --since %d` gives on the host; then take in this file again", since)
	case s.Outcome == ingest.Forked, s.Outcome == ingest.NewKey:
		return fmt.Sprintf("find out why; `klp-audit-fleet show %s` shows both histories, `klp-audit-fleet accept-fork` decides", s.Name)
	case s.Outcome == ingest.Refused && s.State == pg.Retired:
		return fmt.Sprintf("`klp-audit-fleet approve %s` if it is in use again", s.Name)
	case s.Outcome == ingest.Refused && strings.Contains(strings.Join(s.Problems, "; "), "there is no checkpoint"):
		return "its end is missing: send it again"
	}
	return ""
}
