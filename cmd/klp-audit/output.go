package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/klp-audit/klp-audit/internal/pager"
	"github.com/klp-audit/klp-audit/internal/progress"
	"github.com/klp-audit/klp-audit/internal/scratch"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/report/table"
)

// writeFile replaces a file in one step, when all of it is written. It replaces nothing
// but plain files: devices and links are worth more than a report.
func writeFile(path string, write func(io.Writer) error) error {
	return place(path, 0o640, true, write)
}

// outputHelp explains --output.
const outputHelp = "write to `FILE`, which is replaced only when all is written (-: standard output)"

// toStdout says whether --output names standard output.
func toStdout(output string) bool { return output == "" || output == "-" }

// writeTo writes to the file that --output names.
func (a *app) writeTo(output string, write func(io.Writer) error) error {
	if toStdout(output) {
		return write(a.Stdout)
	}
	return writeFile(output, write)
}

// place gives a file its name when all of it is written. The folder may be somebody else's, who
// moves and links there what they like: it is opened once, and everything is done by descriptors.
func place(path string, mode fs.FileMode, replace bool, write func(io.Writer) error) (err error) {
	defer func() {
		if err != nil {
			err = unwritten{path, err}
		}
	}()
	folder, name := filepath.Split(path)
	dir, err := os.OpenRoot(filepath.Join(folder, "."))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := mayPlace(dir, name, replace); err != nil {
		return err
	}
	scratch.Sweep(dir)
	f, temp, err := scratch.NewFile(dir)
	defer func() { err = unnamed(err, temp) }()
	if err != nil {
		return err
	}
	defer dir.Remove(temp)
	if err := errors.Join(write(f), f.Chmod(mode), f.Sync()); err != nil {
		return errors.Join(err, f.Close())
	}
	give := dir.Rename
	if !replace {
		give = dir.Link // unlike a rename, it replaces nothing
	}
	return errors.Join(give(temp, name), sameFile(dir, name, f), syncFolder(dir), f.Close())
}

// unwritten is a file that could not be written.
type unwritten struct {
	path string
	error
}

// Error says why.
func (u unwritten) Error() string { return fmt.Sprintf("writing %q: %v", u.path, u.error) }

// Unwrap returns the reason.
func (u unwritten) Unwrap() error { return u.error }

// unnamed is an error without the name of a file that nobody knows.
func unnamed(err error, temp string) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok && strings.HasSuffix(p.Path, temp) {
		return p.Err
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok && strings.HasSuffix(l.Old, temp) {
		return l.Err
	}
	return err
}

// mayPlace says what is in the way of a file.
func mayPlace(dir *os.Root, name string, replace bool) error {
	info, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && !replace:
		return errors.New("there is a file already")
	case err == nil && !info.Mode().IsRegular():
		return errors.New("not a regular file")
	}
	return err
}

// sameFile notices that the owner of the folder put another file in the place of ours.
func sameFile(dir *os.Root, name string, f *os.File) error {
	is, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	was, err := f.Stat()
	if err == nil && !os.SameFile(is, was) {
		err = errors.New("somebody put another file in its place")
	}
	return err
}

func syncFolder(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// besideOutput is the context of work that writes to the file that --output names: a terminal shows by itself how
// far that is.
func (a *app) besideOutput(ctx context.Context, output string) context.Context {
	if _, ok := a.terminal(); ok && toStdout(output) {
		return progress.Unwatched(ctx)
	}
	return ctx
}

// print writes to standard output, a table for people to read.
func (a *app) print(s report.Section, format string) error {
	write := func(w io.Writer) error { return report.Write(w, s, format, a.style()) }
	if format != "table" {
		return write(a.Stdout)
	}
	return a.paged(write)
}

// paged writes to standard output. On a terminal, what is longer than the screen goes through a pager.
func (a *app) paged(write func(io.Writer) error) error {
	screen, ok := a.terminal()
	if !ok || a.noPager {
		return write(a.Stdout)
	}
	_, rows, err := term.GetSize(int(screen.Fd()))
	if err != nil || rows <= 0 {
		rows = math.MaxInt
	}
	p := pager.New(screen, rows, a.Getenv)
	return errors.Join(write(p), p.Close())
}

// fitHelp has help fit the terminal.
func (a *app) fitHelp(cmd *cobra.Command) {
	if _, ok := a.terminal(); !ok {
		return
	}
	width := a.style().Width
	fitLong(cmd, min(width, 100))
	cmd.SetUsageTemplate(strings.ReplaceAll(cmd.UsageTemplate(), ".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", width)))
	help := cmd.HelpFunc()
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		a.paged(func(w io.Writer) error {
			cmd.SetOut(w)
			help(cmd, args)
			return nil
		})
	})
}

// fitLong breaks the lines of long texts anew; indented ones stay as they are.
func fitLong(cmd *cobra.Command, width int) {
	paragraphs := strings.Split(cmd.Long, "\n\n")
	for i, p := range paragraphs {
		if !strings.HasPrefix(p, "  ") {
			paragraphs[i] = strings.Join(table.Wrap(strings.ReplaceAll(p, "\n", " "), width), "\n")
		}
	}
	cmd.Long = strings.Join(paragraphs, "\n\n")
	for _, sub := range cmd.Commands() {
		fitLong(sub, width)
	}
}

// terminal is standard output, if that is a terminal.
func (a *app) terminal() (*os.File, bool) {
	out, ok := a.Stdout.(*os.File)
	return out, ok && term.IsTerminal(int(out.Fd()))
}

// When a table has colours.
const (
	colorAuto   = "auto"
	colorAlways = "always"
	colorNever  = "never"
)

// style is how standard output wants a table.
func (a *app) style() table.Style {
	s := table.Style{Color: a.color == colorAlways}
	s.Width, _ = strconv.Atoi(a.Getenv("COLUMNS"))
	out, ok := a.terminal()
	if !ok {
		return s
	}
	if w, _, err := term.GetSize(int(out.Fd())); err == nil && w > 0 {
		s.Width = w
	}
	if a.color == colorAuto {
		s.Color = a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb"
	}
	return s
}
