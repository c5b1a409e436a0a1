package zypp

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Action says what a history record is about: the second column of a line.
type Action string

// The actions that libzypp writes. A newer libzypp may write others.
const (
	ActionCommand     Action = "command"
	ActionInstall     Action = "install"
	ActionRemove      Action = "remove"
	ActionPatch       Action = "patch"
	ActionRepoAdd     Action = "radd"
	ActionRepoRemove  Action = "rremove"
	ActionRepoAlias   Action = "ralias"
	ActionRepoBaseURL Action = "rurl"
)

// historyTime is the layout of libzypp's time stamps: local time without a zone.
const historyTime = "2006-01-02 15:04:05"

// Record is one line of libzypp's history. Which fields are set depends on the action; missing
// trailing columns stay empty. Nothing is redacted.
type Record struct {
	// Time is local time as written; it names no zone.
	Time   string
	Action Action

	// Name, Version and Arch belong to a package or a patch; Version is [epoch:]version-release.
	Name, Version, Arch string
	// RequestedBy is user@host or pid:program; empty: the solver chose it.
	RequestedBy string
	// Repo is a repository's alias; in a ralias record the old one.
	Repo string
	// Checksum is the checksum of the package file.
	Checksum string

	// Severity, Category, OldState and NewState belong to a patch record.
	Severity, Category, OldState, NewState string

	// Command is the quoted command line; see QuoteCommand.
	Command string

	// URL belongs to a repository; in a rurl record it is the new one, and OldURL the old one. Old
	// versions of libzypp write the alias where newer ones write the old URL.
	URL, OldURL string
	// NewRepo is the new alias in a ralias record.
	NewRepo string

	UserData string
	// Rest is what follows the known columns of the action, as written.
	Rest string
}

// Advisory is what a patch record says: an update notice whose state a commit changed, for better
// or worse.
func (r *Record) Advisory() record.Advisory {
	return record.Advisory{ID: r.Name, Repo: r.Repo, Severity: r.Severity, Category: r.Category, OldState: r.OldState, NewState: r.NewState}
}

// ParseRecord parses one line of the history, without its newline; the line must not be a comment.
// It is the inverse of libzypp's writer, not of its reader: only the columns that libzypp escapes
// are unescaped, and the quotes of the command line stay.
func ParseRecord(line string) (Record, error) {
	stamp, rest, more := strings.Cut(line, "|")
	if _, err := time.Parse(historyTime, stamp); err != nil {
		return Record{}, recordError(line, errors.New("it does not begin with a time"))
	}
	action, rest, more := cutIf(more, rest)
	r := Record{Time: stamp, Action: Action(strings.TrimSpace(action))}
	if r.Action == "" {
		return Record{}, recordError(line, errors.New("no action"))
	}
	cols, needed := r.columns()
	for i, c := range cols {
		if more {
			*c.dest, rest, more = c.cut(rest)
		}
		if i < needed && *c.dest == "" {
			return Record{}, recordError(line, fmt.Errorf("column %d is empty", i+3))
		}
	}
	r.Rest = rest
	return r, nil
}

func recordError(line string, err error) error {
	return fmt.Errorf("parsing history record %.120q: %w", line, err)
}

// cutIf cuts the next column if there is one.
func cutIf(more bool, s string) (col, rest string, left bool) {
	if !more {
		return "", "", false
	}
	return strings.Cut(s, "|")
}

// columns lists where the columns after the action go, and how many of them a record must have. Old
// files lack trailing columns, the user data first.
func (r *Record) columns() (cols []column, needed int) {
	switch r.Action {
	case ActionCommand:
		cols = append(plain(&r.RequestedBy), escaped(&r.Command)...)
	case ActionInstall:
		cols, needed = plain(&r.Name, &r.Version, &r.Arch, &r.RequestedBy, &r.Repo, &r.Checksum), 2
	case ActionRemove:
		cols, needed = plain(&r.Name, &r.Version, &r.Arch, &r.RequestedBy), 2
	case ActionPatch:
		cols = plain(&r.Name, &r.Version, &r.Arch, &r.Repo, &r.Severity, &r.Category, &r.OldState, &r.NewState)
		needed = 2
	case ActionRepoAdd:
		cols, needed = escaped(&r.Repo, &r.URL), 2
	case ActionRepoRemove:
		cols, needed = escaped(&r.Repo), 1
	case ActionRepoAlias:
		cols, needed = escaped(&r.Repo, &r.NewRepo), 2
	case ActionRepoBaseURL:
		cols, needed = escaped(&r.OldURL, &r.URL), 2
	default:
		return nil, 0
	}
	return append(cols, escaped(&r.UserData)...), needed
}

// column says where one column of a line goes, and whether libzypp escapes it.
type column struct {
	dest    *string
	escaped bool
}

func plain(dests ...*string) []column { return columnsTo(false, dests) }

func escaped(dests ...*string) []column { return columnsTo(true, dests) }

func columnsTo(escaped bool, dests []*string) []column {
	cols := make([]column, 0, len(dests)+1)
	for _, d := range dests {
		cols = append(cols, column{d, escaped})
	}
	return cols
}

// cut cuts the column's value off the front of s; more is false if it was the last one.
func (c column) cut(s string) (value, rest string, more bool) {
	if !c.escaped {
		return strings.Cut(s, "|")
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '|':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), "", false
}

// QuoteCommand writes a command line as libzypp does in a command record, after the record's
// escaping is undone: each argument in single quotes, separated by spaces, with a newline shown as
// a space and a single quote left as it is. As in Appended, secrets are redacted, so that the two
// can be compared whether argv was redacted before or not.
func QuoteCommand(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	quoted := "'" + strings.Join(argv, "' '") + "'"
	quoted = strings.ToValidUTF8(strings.ReplaceAll(quoted, "\n", " "), "\uFFFD")
	return RedactWith(quoted, Redact)
}

// RedactWith redacts each argument of a command line in the form of QuoteCommand; a nil redact
// leaves it as it is.
func RedactWith(command string, redact func(string) string) string {
	if redact == nil {
		return command
	}
	args := strings.Split(command, "' '")
	for i, arg := range args {
		arg, last := strings.CutSuffix(arg, "'")
		args[i] = redact(arg)
		if last {
			args[i] += "'"
		}
	}
	return strings.Join(args, "' '")
}
