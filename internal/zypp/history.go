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
	"github.com/klp-audit/klp-audit/record"
)

const (
	// maxAppended bounds how much is read for one commit: 100,000 packages and the output of their
	// scripts.
	maxAppended = 64 << 20
	maxProblems = 100
)

// IsDisabled says whether a mark shows that libzypp writes no history.
func IsDisabled(m record.HistoryMark) bool { return m.Path == disabledHistory }

// Appended is what one commit appended to the history: what libzypp claims it did, which is no
// proof.
type Appended struct {
	Command           string // as QuoteCommand writes it; empty if its record is missing
	UserData          string
	Installs, Removes []Record // a package that an update replaces has no remove record
	Advisories        []record.Advisory
	Failed            []string // packages (or package files), as named in the messages of an untranslated libzypp
	Scripts           []Script // those that failed
	Problems          []string // what could not be read; lines are counted from the mark
}

// MarkHistory returns where the history of the system at root ends now.
func MarkHistory(root string) (record.HistoryMark, error) {
	name, err := historyPath(root)
	if err != nil {
		return record.HistoryMark{}, err
	}
	mark := record.HistoryMark{Path: name}
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

// Since returns what the first commit after the mark appended to the history of the system at root.
// Bad content of the file is no error, but a problem in the answer.
func Since(root string, m record.HistoryMark) (Appended, error) {
	var g group
	if IsDisabled(m) {
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

// inode is the file's inode number, which changes with a rotation.
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

func (g *group) readFile(f *os.File, m record.HistoryMark) error {
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

// read reads the first group of records: a command and what follows up to the next command. After a
// rotation the group may begin without its command.
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

// take adds one line and reports whether the group can have more.
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
		g.Installs = append(g.Installs, r)
	case ActionRemove:
		g.Removes = append(g.Removes, r)
	case ActionPatch:
		g.Advisories = append(g.Advisories, r.Advisory())
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
