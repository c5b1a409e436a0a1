package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/filekind"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

// exportFlags are the flags of export.
type exportFlags struct {
	since, output    string
	copy, checkpoint string
	input            string
}

func (a *app) exportCommand() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the record for other machines, collectors and auditors",
		Long: `Write the record as JSON lines: each event as it is stored, byte for byte, with its number
and hash, and the signed checkpoint after them. Whoever gets it can check it without this
machine: klp-audit verify --input FILE.

With --since, only what came after: after event number EVENT, or after the checkpoint in FILE,
which the record must have grown from.

With --copy, write a copy of the database instead. Never copy the file itself: a commit may
write to it at that moment. Like the record, a copy is read and exported with --db.

With --checkpoint, write the newest signed checkpoint alone: a few lines that say how many
events there are, and the root hash over them. Keep it where nobody who can change this machine
can change it. Later, klp-audit verify --checkpoint FILE shows whether the record is still what it
was, and has only grown.`,
		Example: `  klp-audit export -o record.jsonl
  klp-audit export --since last-week.checkpoint -o news.jsonl
  klp-audit export --copy record.db
  klp-audit export --db record.db -o record.jsonl
  klp-audit export --checkpoint db01-2026-11-23.checkpoint`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.export(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "", "only what came after `EVENT|FILE`: the number of an event, or the file of a checkpoint")
	flags.StringVarP(&f.output, "output", "o", "", outputHelp)
	flags.StringVar(&f.copy, "copy", "", "write a copy of the database to `FILE`, which must not exist (-: standard output)")
	flags.StringVar(&f.checkpoint, "checkpoint", "", "write the newest checkpoint alone to `FILE`, which must not exist (-: standard output)")
	flags.StringVar(&f.input, "input", "", "take the checkpoint from the export in `FILE`, which is verified first")
	return cmd
}

func (a *app) export(cmd *cobra.Command, f exportFlags) error {
	if f == (exportFlags{}) && a.formerCopy() {
		f.copy, a.db = a.db, ""
	}
	switch {
	case f.copy != "" && f != (exportFlags{copy: f.copy}):
		return usageError{errors.New("--copy writes the whole database: leave the other flags out")}
	case f.checkpoint != "" && (f.since != "" || f.output != ""):
		return usageError{errors.New("--checkpoint writes a checkpoint alone: leave --since and --output out")}
	case f.checkpoint != "":
		return a.exportCheckpoint(cmd, f)
	case f.input != "":
		return usageError{errors.New("--input names an export already: copy that file, or write its --checkpoint")}
	}
	s, err := a.openRecord(cmd.Context())
	if err != nil {
		return err
	}
	defer s.Close()
	if _, ok := a.terminal(); ok && f.copy == "-" {
		return usageError{errors.New("--copy -: a database is nothing for a terminal")}
	}
	if f.copy != "" {
		return a.writeNew(f.copy, func(w io.Writer) error { return s.Copy(cmd.Context(), w) })
	}
	from, err := a.exportFrom(cmd, s, f.since)
	if err != nil {
		return err
	}
	ctx := a.besideOutput(cmd.Context(), f.output)
	return a.writeTo(f.output, func(w io.Writer) error { return s.Export(ctx, w, from) })
}

// formerCopy says whether --db names a copy that is to be written, as it once did here: the file is not there.
func (a *app) formerCopy() bool {
	if _, err := os.Lstat(a.db); a.db == "" || !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	a.note("writing a copy of the record to %q; --db names what is read: to write a copy, say --copy", a.db)
	return true
}

// exportCheckpoint writes the checkpoint of a record or an export that is intact.
func (a *app) exportCheckpoint(cmd *cobra.Command, f exportFlags) error {
	s, err := a.openSection(cmd, &sectionFlags{input: f.input}, "checkpoint")
	if err != nil {
		return err
	}
	defer s.Close()
	if err := exit(s.provenance.Input); err != nil {
		return err // what is wrong was said: nobody shall keep a checkpoint of that as evidence
	}
	return a.writeNew(f.checkpoint, func(w io.Writer) error {
		_, err := io.WriteString(w, s.summary.Checkpoint)
		return err
	})
}

// writeNew writes a file that must not exist.
func (a *app) writeNew(path string, write func(io.Writer) error) error {
	if path == "-" {
		return write(a.Stdout)
	}
	return place(path, 0o640, false, write)
}

// exportFrom is the number of the event to export from: none, a number, or a checkpoint's.
func (a *app) exportFrom(cmd *cobra.Command, s *store.Store, since string) (int64, error) {
	if since == "" {
		return 0, nil
	}
	if n, err := strconv.ParseInt(since, 10, 64); err == nil && n >= 0 {
		return n, nil
	}
	if a.isTime(since) {
		return 0, usageError{fmt.Errorf("--since %q: want the number of an event, or the file of a checkpoint, not a time (a file of that name is ./%s)", since, since)}
	}
	note, err := readCheckpoint("--since", since)
	if err != nil {
		return 0, err
	}
	return s.SinceCheckpoint(cmd.Context(), note)
}

// dateLike is a date or a time in other forms, and one that does not exist.
var dateLike = regexp.MustCompile(`^-?\d+[-./:][-./:\dTZ+ ]*$|^-\d`)

// isTime says whether somebody means a time.
func (a *app) isTime(text string) bool {
	_, err := report.ParseTime(text, a.Now(), a.Now())
	return err == nil || dateLike.MatchString(text)
}

// readCheckpoint reads the file that a flag names, with a checkpoint: its text, or what verify prints in JSON.
// What copying does to the end of a text does not matter.
func readCheckpoint(flag, path string) (string, error) {
	if err := expect(flag, path, "a checkpoint", filekind.Checkpoint, filekind.Verification); err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return "", err
	}
	note := string(text)
	var v proof.Verification
	if json.Unmarshal(text, &v) == nil && v.Checkpoint != "" {
		note = v.Checkpoint
	}
	return strings.TrimRight(strings.ReplaceAll(note, "\r\n", "\n"), " \n") + "\n", nil
}
