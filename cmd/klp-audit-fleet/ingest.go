package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/say"
)

func (a *app) ingestCommand() *cobra.Command {
	var format string
	var remove bool
	limits := ingest.DefaultLimits
	cmd := &cobra.Command{
		Use:   "ingest FILE|DIR|-...",
		Short: "Take in exports of hosts",
		Long: `Take in exports that klp-audit export wrote on hosts: whole ones, or with --since what came after
an earlier one. They may be compressed with zstd, gzip, xz or bzip2. Of a folder, all files are
taken, also in folders below it; names that begin with a dot are skipped. An export whose
predecessor is in another file is tried again after it.

Taking in one again is harmless. What became of each is printed:

  stored      it brought new events
  known       it brought nothing new
  behind      it is an earlier state of the log; nothing is wrong
  waiting     events before it are missing: send the log from an earlier event on
  forked      its history is another one: kept as evidence, and the host is unknown from the
              last common event on; see accept-fork
  new-key     a key took over that the key before it did not sign: kept; see accept-fork
  refused     it is wrong in itself, or the host is retired; if a key of the host signed it,
              and it has a checkpoint, it is kept as evidence
  not-read    it is no export, too large, or could not be read or kept: nothing of it is kept

The exit status is 0 if all are stored, known or behind, 4 if one is forked, new-key or refused,
else 1 if one is waiting or not-read. If the database fails, ingest ends; begin again.`,
		Example: `  klp-audit-fleet ingest /srv/klp-audit/incoming --remove
  ssh web1 klp-audit export | klp-audit-fleet ingest -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format %q: want text or json", format)}
			}
			db, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			in := &intake{app: a, collector: &ingest.Collector{DB: db, Limits: limits, Now: a.Now}, json: format == "json", remove: remove}
			return in.run(cmd.Context(), args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "text", "print as `FORMAT`: text, json (one object a line)")
	f.BoolVar(&remove, "remove", false, "remove the files that were stored, known or behind")
	f.Int64Var(&limits.Line, "max-line", limits.Line, "refuse an export with a line of more than `BYTES`")
	f.Int64Var(&limits.Bytes, "max-size", limits.Bytes, "refuse an export of more than `BYTES`, decompressed")
	f.Int64Var(&limits.Events, "max-events", limits.Events, "refuse an export of more events than `NUMBER`")
	f.Int64Var(&limits.DayEvents, "max-day-events", limits.DayEvents, "refuse what brings a host above `NUMBER` events in a day")
	f.Int64Var(&limits.DayBytes, "max-day-size", limits.DayBytes, "refuse what brings a host above `BYTES` in a day, decompressed")
	f.Int64Var(&limits.Pending, "max-pending", limits.Pending, "refuse new hosts while more than `NUMBER` wait for approval")
	return cmd
}

// intake takes in files and counts what became of them.
type intake struct {
	app       *app
	collector *ingest.Collector
	named     []string // files and folders
	json      bool
	remove    bool
	counts    map[ingest.Outcome]int
	stays     bool            // a file could not be removed
	pending   map[string]bool // logs that wait for approval
}

func (in *intake) run(ctx context.Context, args []string) error {
	in.named = args
	files, err := list(args)
	if err != nil {
		return err
	}
	in.app.ifStopped = "what was printed is done; take in the rest by calling it again"
	in.counts, in.pending = map[ingest.Outcome]int{}, map[string]bool{}
	for left := files; len(left) > 0; {
		waiting, err := in.pass(ctx, left)
		if err != nil {
			return err
		}
		if len(waiting) == len(left) {
			for _, w := range waiting {
				if err := in.tell(&w); err != nil {
					return err
				}
			}
			break
		}
		left = nil
		for _, w := range waiting {
			left = append(left, w.File)
		}
	}
	if err := in.sum(len(files)); err != nil {
		return err
	}
	return in.status()
}

// sum says what became of all files.
func (in *intake) sum(files int) error {
	if in.json {
		return nil
	}
	var parts []string
	for _, o := range outcomes {
		if n := in.counts[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	text := ""
	if files != 1 { // a timer that finds nothing says so
		text = say.Plural(files, "file") + and(strings.Join(parts, ", ")) + "\n"
	}
	if n := len(in.pending); n > 0 {
		text += say.Plural(n, "new host") + " of these wait for approval: see `klp-audit-fleet show --state pending`\n"
	}
	text = strings.ReplaceAll(text, "1 new host of these wait ", "1 new host of these waits ")
	_, err := io.WriteString(in.app.Stdout, text)
	return err
}

// unread is what became of a file that is not an upload, or could not be kept.
const unread ingest.Outcome = notRead

// outcomes are in the order in which they are summed up.
var outcomes = []ingest.Outcome{ingest.Stored, ingest.Known, ingest.Behind, ingest.Waiting, ingest.Forked, ingest.NewKey, ingest.Refused, unread}

// codes are the exit codes of outcomes.
var codes = map[ingest.Outcome]int{
	ingest.Stored: exitDone, ingest.Known: exitDone, ingest.Behind: exitDone, ingest.Waiting: exitError, unread: exitError,
	ingest.Forked: exitAltered, ingest.NewKey: exitAltered, ingest.Refused: exitAltered,
}

// status is the exit status: what is wrong with a host weighs more than what could not be done.
func (in *intake) status() error {
	worst := exitDone
	if in.stays {
		worst = exitError
	}
	for o := range in.counts {
		worst = max(worst, codes[o])
	}
	if worst != exitDone {
		return exitStatus(worst)
	}
	return nil
}

// list returns the files that arguments name.
func list(args []string) (files []string, err error) {
	for _, arg := range args {
		if arg == "-" {
			files = append(files, arg)
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, arg)
			continue
		}
		err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			hidden := path != arg && strings.HasPrefix(d.Name(), ".")
			switch {
			case err != nil && path != arg && errors.Is(err, fs.ErrNotExist): // it went meanwhile
			case err != nil && path != arg: // one sender's folder does not keep out the others: this one is not-read
				files = append(files, path)
				return fs.SkipDir
			case err != nil:
				return err
			case d.IsDir() && hidden:
				return fs.SkipDir
			case d.Type().IsRegular() && !hidden: // whoever can write here cannot make it read what links lead to
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// pass takes in files, and returns those that wait for another.
func (in *intake) pass(ctx context.Context, files []string) (waiting []said, err error) {
	for _, file := range files {
		s, err := in.take(ctx, file)
		if err != nil {
			return nil, err
		}
		if s.Outcome == ingest.Waiting && file != "-" {
			waiting = append(waiting, *s)
			continue
		}
		if err := in.tell(s); err != nil {
			return nil, err
		}
	}
	return waiting, nil
}

// take takes in one file. An error is one of the database, or a signal came.
func (in *intake) take(ctx context.Context, file string) (*said, error) {
	var r io.Reader
	if file == "-" {
		r = interruptible(ctx, in.app.Stdin)
	} else {
		f, err := openUpload(file, slices.Contains(in.named, file))
		if err != nil {
			return notTaken(file, err), nil
		}
		defer f.Close()
		r = f
	}
	answer, err := in.collector.Ingest(ctx, r)
	if err == nil {
		return of(file, answer), nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("taking in %q: %w", file, err)
	}
	if gone := in.collector.DB.Ping(ctx); gone != nil {
		return nil, fmt.Errorf("taking in %q: %w", file, gone)
	}
	return notTaken(file, err), nil
}

// interruptible ends reading when a signal comes, also from who sends nothing.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	go func() { // ends with the program at the latest
		_, err := io.Copy(in, r)
		in.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { out.CloseWithError(context.Cause(ctx)) })
	return out
}

// openUpload opens a file. Unless somebody named it, it was found in a folder, and whoever can write
// there may have replaced it since: by a link to what only the collector may read, or by a pipe, for
// which it would wait for ever.
func openUpload(file string, named bool) (*os.File, error) {
	if named {
		return os.Open(file)
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, cmp.Or(err, fmt.Errorf("%q is no regular file", file))
	}
	return f, nil
}

// tell prints what became of a file, and removes it if it may go.
func (in *intake) tell(s *said) (err error) {
	in.counts[s.Outcome]++
	if s.State == pg.Pending {
		in.pending[s.Log] = true
	}
	if codes[s.Outcome] == exitDone && in.remove && s.File != "-" {
		if err := os.Remove(s.File); err != nil && !errors.Is(err, fs.ErrNotExist) {
			in.stays = true // the other files are taken in all the same
			s.Problems = append(s.Problems, "the file stays: "+oneLine(err.Error()))
		}
	}
	if in.json {
		return json.NewEncoder(in.app.Stdout).Encode(s)
	}
	return s.write(in.app.Stdout)
}
