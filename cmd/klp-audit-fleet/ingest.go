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
	"strings"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/fleet/ingest"
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
taken; files that begin with a dot are skipped. An export whose predecessor is in another file is
tried again after it.

Taking in one again is harmless. What became of each is printed:
  stored      it brought new events
  known       it brought nothing new
  behind      it is an earlier state of the log; nothing is wrong
  waiting     events before it are missing: it is needed from an earlier event on
  forked      its history is another one: kept as evidence, and the host is unknown from the
              last common event on; see accept-fork
  new-key     a key took over that the key before it did not sign: kept; see accept-fork
  refused     it is wrong in itself; if a key of the host signed it, it is kept as evidence

The exit status is 0 if all are stored, known or behind, 4 if one is forked, new-key or refused,
and 1 if one is waiting or could not be read.`,
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
	json      bool
	remove    bool
	worst     int // exit code
}

// said is what is printed of a file.
type said struct {
	File string `json:"file"`
	*ingest.Answer
	Error string `json:"error,omitempty"`
}

func (in *intake) run(ctx context.Context, args []string) error {
	files, err := list(args)
	if err != nil {
		return err
	}
	for len(files) > 0 {
		waiting, err := in.pass(ctx, files)
		if err != nil {
			return err
		}
		if len(waiting) == len(files) {
			for _, w := range waiting {
				if err := in.tell(&w); err != nil {
					return err
				}
			}
			break
		}
		files = files[:0]
		for _, w := range waiting {
			files = append(files, w.File)
		}
	}
	if in.worst != exitDone {
		return exitStatus(in.worst)
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
		s := in.take(ctx, file)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("stopped before %q was done", file)
		}
		if s.Answer != nil && s.Outcome == ingest.Waiting && file != "-" {
			waiting = append(waiting, s)
			continue
		}
		if err := in.tell(&s); err != nil {
			return nil, err
		}
	}
	return waiting, nil
}

// take takes in one file.
func (in *intake) take(ctx context.Context, file string) said {
	s := said{File: file}
	r := in.app.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			s.Error = err.Error()
			return s
		}
		defer f.Close()
		r = f
	}
	answer, err := in.collector.Ingest(ctx, r)
	if err != nil {
		s.Error = err.Error()
		return s
	}
	s.Answer = answer
	return s
}

// tell prints what became of a file, and removes it if it may go.
func (in *intake) tell(s *said) (err error) {
	code := exitError
	if s.Answer != nil {
		code = codes[s.Outcome]
	}
	in.worst = max(in.worst, code)
	if code == exitDone && in.remove && s.File != "-" {
		if err := os.Remove(s.File); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if in.json {
		return json.NewEncoder(in.app.Stdout).Encode(s)
	}
	return s.write(in.app.Stdout)
}

// codes are the exit codes of outcomes.
var codes = map[ingest.Outcome]int{
	ingest.Stored: exitDone, ingest.Known: exitDone, ingest.Behind: exitDone, ingest.Waiting: exitError,
	ingest.Forked: exitAltered, ingest.NewKey: exitAltered, ingest.Refused: exitAltered,
}

// write writes one line, and one more for each problem.
func (s *said) write(w io.Writer) error {
	if s.Answer == nil {
		_, err := fmt.Fprintf(w, "%s: not read: %s\n", say.Printable(s.File), say.Printable(s.Error))
		return err
	}
	host := cmp.Or(s.Hostname, s.Name, "unknown host")
	text := fmt.Sprintf("%s: %s: %s", s.File, s.Outcome, host)
	if s.Log != "" {
		text += fmt.Sprintf(" (%s, %s)", s.Name, s.State)
	}
	if s.New > 0 {
		text += fmt.Sprintf(", %d new", s.New)
	}
	text += fmt.Sprintf(", has %d events", s.Size)
	if s.Branch > 0 {
		text += fmt.Sprintf(" in branch %d", s.Branch)
	}
	_, err := fmt.Fprintln(w, say.Printable(text))
	for i, p := range s.Problems {
		if i == 5 {
			fmt.Fprintf(w, "    and %d more\n", len(s.Problems)-i)
			break
		}
		fmt.Fprintf(w, "    %s\n", say.Clip(p, 300))
	}
	return err
}
