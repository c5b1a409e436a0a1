package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/filekind"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

func (a *app) exportCommand() *cobra.Command {
	var since, output, db string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the record for other machines, collectors and auditors",
		Long: `Write the record as JSON lines: each event as it is stored, byte for byte, with its number
and hash, and the signed checkpoint after them. Who gets it can check it without this
machine: klp-audit verify --export FILE.

With --since, only what came after: after event number SEQ, or after the checkpoint in FILE,
which the record must have grown from.

With --db, write a copy of the database instead. Never copy the file itself: a commit may
write to it at that moment.`,
		Example: `  klp-audit export -o record.jsonl
  klp-audit export --since last-week.checkpoint -o news.jsonl
  klp-audit export --db record.db`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if db != "" && (since != "" || output != "") {
				return usageError{errors.New("--db writes a copy of the whole database: it goes with neither --since nor --output")}
			}
			s, err := a.openRecord(cmd.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			if db != "" {
				return place(db, 0o640, false, func(w io.Writer) error { return s.Copy(cmd.Context(), w) })
			}
			from, err := exportFrom(cmd, s, since)
			if err != nil {
				return err
			}
			if output == "" {
				return s.Export(cmd.Context(), a.Stdout, from)
			}
			return writeFile(output, func(w io.Writer) error { return s.Export(cmd.Context(), w, from) })
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "only events after number `SEQ`, or after the checkpoint in the file SEQ")
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE`, which is replaced only when all is written")
	// To all other commands this flag names what they read; here it names what is written.
	cmd.Flags().StringVar(&db, "db", "", "write a copy of the database to `FILE`, which must not exist")
	return cmd
}

// exportFrom is the number of the event to export from: none, a number, or a checkpoint's.
func exportFrom(cmd *cobra.Command, s *store.Store, since string) (int64, error) {
	if since == "" {
		return 0, nil
	}
	if n, err := strconv.ParseInt(since, 10, 64); err == nil {
		return n, nil
	}
	note, err := readCheckpoint("--since", since)
	if err != nil {
		return 0, err
	}
	return s.SinceCheckpoint(cmd.Context(), note)
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
