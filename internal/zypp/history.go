package zypp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

const (
	// maxAppended bounds what is read of one commit: 100,000 packages and the output of
	// their scripts.
	maxAppended = 64 << 20
	maxProblems = 100
)

// Mark is a place in libzypp's history: its end when the mark was made.
type Mark struct {
	// Path is the file below the root directory; "/dev/null" when the history is disabled.
	Path string `json:"path"`
	// Inode is 0 when the file did not exist.
	Inode  uint64 `json:"inode"`
	Offset int64  `json:"offset"`
}

// Disabled says that libzypp writes no history.
func (m Mark) Disabled() bool { return m.Path == disabledHistory }

// Install is an install record: what libzypp says it installed. It is a claim, not proof.
type Install struct {
	Time        string `json:"time"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	Arch        string `json:"arch"`
	RequestedBy string `json:"requested_by"`
	Repo        string `json:"repo"`
	Checksum    string `json:"checksum"`
	UserData    string `json:"userdata"`
}

// Remove is a remove record; packages replaced by an update have none.
type Remove struct {
	Time        string `json:"time"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	Arch        string `json:"arch"`
	RequestedBy string `json:"requested_by"`
	UserData    string `json:"userdata"`
}

// Advisory is a patch record: an update notice whose state a commit changed, for better or worse.
type Advisory struct {
	Time     string `json:"time"`
	ID       string `json:"id"`
	Version  string `json:"version"`
	Arch     string `json:"arch"`
	Repo     string `json:"repo"`
	Severity string `json:"severity"`
	Category string `json:"category"`
	OldState string `json:"old_state"`
	NewState string `json:"new_state"`
}

// Appended is what one commit appended to the history.
type Appended struct {
	// Command is the command line of the commit as QuoteCommand writes it; empty when its
	// record is missing.
	Command    string     `json:"command"`
	UserData   string     `json:"userdata"`
	Installs   []Install  `json:"installs"`
	Removes    []Remove   `json:"removes"`
	Advisories []Advisory `json:"advisories"`
	// Failed names packages (or package files) whose installation or removal failed. Only
	// the messages of an untranslated libzypp are understood.
	Failed []string `json:"failed"`
	// Scripts are those that failed.
	Scripts []Script `json:"scripts"`
	// Problems tells what could not be read; lines are counted from the mark.
	Problems []string `json:"problems"`
}

// MarkHistory returns where the history of the system at root ends now.
func MarkHistory(root string) (Mark, error) {
	name, err := historyPath(root)
	if err != nil {
		return Mark{}, err
	}
	mark := Mark{Path: name}
	if name == disabledHistory {
		return mark, nil
	}
	info, err := os.Stat(filepath.Join(root, name))
	if errors.Is(err, fs.ErrNotExist) {
		return mark, nil
	}
	if err != nil {
		return mark, err
	}
	if !info.Mode().IsRegular() {
		return mark, fmt.Errorf("reading history %q: not a regular file", name)
	}
	mark.Inode, mark.Offset = inode(info), info.Size()
	return mark, nil
}

// Since returns what the first commit after the mark appended to the history of the system at
// root. What the file holds makes no error, but a problem in the answer.
func (m Mark) Since(root string) (Appended, error) {
	var g group
	if m.Path == disabledHistory {
		return g.Appended, nil
	}
	f, err := rooted.Open(root, m.Path)
	if errors.Is(err, fs.ErrNotExist) {
		if m.Inode != 0 {
			g.problem("history was rotated: nothing was written since")
		}
		return g.Appended, nil
	}
	if err != nil {
		return g.Appended, err
	}
	defer f.Close()
	err = g.readFile(f, m)
	return g.Appended, err
}

// inode is the file's inode number, which a rotation changes.
func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// group collects the records of one commit.
type group struct {
	Appended
	begun   bool
	scripts Scripts
}

func (g *group) readFile(f *os.File, m Mark) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("reading history %q: not a regular file", m.Path)
	}
	offset := m.Offset
	if m.Inode != 0 && inode(info) != m.Inode || info.Size() < m.Offset {
		g.problem("history was rotated: read from the start of the new file")
		offset = 0
	}
	if info.Size()-offset > maxAppended {
		g.problem("history: only the first %d of %d bytes were looked at", maxAppended, info.Size()-offset)
	}
	if err := g.read(io.NewSectionReader(f, offset, maxAppended), offset); err != nil {
		return fmt.Errorf("reading history %q: %w", m.Path, err)
	}
	return nil
}

// read takes in the first group of records: a command and what follows up to the next command.
// After a rotation the group may begin without its command.
func (g *group) read(r io.Reader, offset int64) error {
	in := lines{r: bufio.NewReader(r), end: offset}
	defer func() { g.Scripts = g.scripts.Failed }()
	for {
		text, err := in.next()
		switch {
		case err == io.EOF:
			return nil
		case IsOfLine(err):
			g.problem("line %d at byte %d: %v", in.number, in.start, err)
			continue
		case err != nil:
			return err
		}
		if more := g.take(in.number, text); !more {
			return nil
		}
	}
}

// take takes in one line and reports whether the group can have more.
func (g *group) take(number int, text string) (more bool) {
	if strings.HasPrefix(text, "#") {
		g.comment(text)
		return true
	}
	if text == "" {
		return true
	}
	g.scripts.Record()
	r, err := ParseRecord(text)
	if err != nil {
		g.problem("line %d: %v", number, err)
		return true
	}
	if r.Action == ActionCommand && g.begun {
		return false
	}
	g.add(r)
	return true
}

func (g *group) add(r Record) {
	switch r.Action {
	case ActionCommand:
		g.Command, g.UserData = RedactCommand(r.Command), r.UserData
	case ActionInstall:
		g.Installs = append(g.Installs, Install{
			Time: r.Time, Name: r.Name, Version: r.Version, Arch: r.Arch, RequestedBy: r.RequestedBy,
			Repo: r.Repo, Checksum: r.Checksum, UserData: r.UserData,
		})
	case ActionRemove:
		g.Removes = append(g.Removes, Remove{
			Time: r.Time, Name: r.Name, Version: r.Version, Arch: r.Arch, RequestedBy: r.RequestedBy,
			UserData: r.UserData,
		})
	case ActionPatch:
		g.Advisories = append(g.Advisories, Advisory{
			Time: r.Time, ID: r.Name, Version: r.Version, Arch: r.Arch, Repo: r.Repo,
			Severity: r.Severity, Category: r.Category, OldState: r.OldState, NewState: r.NewState,
		})
	default:
		return
	}
	g.begun = true
}

func (g *group) comment(text string) {
	g.scripts.Comment(text)
	if c, ok := ParseComment(text); ok && c.Failed {
		g.Failed = append(g.Failed, c.Package)
	}
}

func (g *group) problem(format string, args ...any) {
	switch {
	case len(g.Problems) < maxProblems:
		g.Problems = append(g.Problems, fmt.Sprintf(format, args...))
	case len(g.Problems) == maxProblems:
		g.Problems = append(g.Problems, "further problems are left out")
	}
}
