package zypp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// Alive says whether a process still runs, according to a /proc file system. A zombie does not.
func Alive(proc fs.FS, p record.Process) bool {
	st, err := readStat(proc, p.PID)
	return err == nil && st.process() == p && !strings.Contains("ZXx", st.state)
}

// stat is the needed part of /proc/PID/stat.
type stat struct {
	pid    int
	comm   string // program name, 15 bytes at most
	state  string
	parent int
	tty    uint32 // device number of the controlling terminal; 0: none
	start  uint64
}

func (s stat) process() record.Process { return record.Process{PID: s.pid, StartTicks: s.start} }

// parseStat parses a line of /proc/PID/stat. A program name may contain spaces and parentheses.
func parseStat(text string) (stat, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("parsing process state %.120q: no program name", text)
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("parsing process state %.120q: %d fields after the name", text, len(fields))
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(text[:open]))
	parent, err2 := strconv.Atoi(fields[1])
	tty, err3 := strconv.ParseInt(fields[4], 10, 32)
	start, err4 := strconv.ParseUint(fields[19], 10, 64)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return stat{}, fmt.Errorf("parsing process state %.120q: %w", text, err)
	}
	return stat{pid, text[open+1 : end], fields[0], parent, uint32(tty), start}, nil
}

func readStat(proc fs.FS, pid int) (stat, error) {
	text, err := readText(proc, procName(pid, "stat"))
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// lineage returns the process and its ancestors, the process first, as far as they are visible.
func lineage(proc fs.FS, pid int) ([]stat, error) {
	first, err := readStat(proc, pid)
	if err != nil {
		return nil, err
	}
	chain := []stat{first}
	// The limit ends a loop, which a changing /proc could show.
	for len(chain) < 64 {
		next, err := readStat(proc, chain[len(chain)-1].parent)
		if err != nil {
			break
		}
		chain = append(chain, next)
	}
	return chain, nil
}

// findLibzypp picks the libzypp process among the ancestors: the parent, unless libzypp left its
// pid in the environment ($ZYPP_IS_RUNNING). If that process is gone, the new parent is one that
// adopts orphans and must not be mistaken for libzypp.
func findLibzypp(ancestors []stat, running string) (stat, error) {
	if len(ancestors) == 0 {
		return stat{}, errors.New("no parent process to be seen")
	}
	pid, err := strconv.Atoi(running)
	if err != nil {
		return ancestors[0], nil
	}
	i := slices.IndexFunc(ancestors, func(s stat) bool { return s.pid == pid })
	if i < 0 {
		return stat{}, fmt.Errorf("process %d has ended", pid)
	}
	return ancestors[i], nil
}

// argv returns a process's command line, at most 256 KiB of it.
func argv(proc fs.FS, pid int) []string {
	text, err := readText(proc, procName(pid, "cmdline"))
	if err != nil || text == "" {
		return nil
	}
	args := strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
	if len(text) == maxText {
		// The last argument may be cut inside a URL, which Redact would not recognize.
		args[len(args)-1] = "[cut]"
	}
	return args
}

// exe returns the path of a process's program, even if that file is gone or was replaced.
func exe(proc fs.FS, pid int) string {
	name, err := fs.ReadLink(proc, procName(pid, "exe"))
	if err != nil || name == "" {
		return Unset
	}
	return strings.ToValidUTF8(strings.TrimSuffix(name, " (deleted)"), "\uFFFD")
}

func procName(pid int, name string) string { return strconv.Itoa(pid) + "/" + name }

// maxText bounds what is read of one file.
const maxText = 256 << 10

// readText reads the start of a small text file.
func readText(fsys fs.FS, name string) (string, error) {
	info, err := fs.Stat(fsys, name)
	if err == nil && !info.Mode().IsRegular() { // opening a FIFO might block for ever
		err = &fs.PathError{Op: "open", Path: name, Err: rooted.ErrNotRegular}
	}
	if err != nil {
		return "", err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText))
	return string(text), err
}
