package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/filekind"
	"github.com/klp-audit/klp-audit/internal/progress"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	format, key, input string
	checkpoints        []string
}

func (a *app) verifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that the record is intact",
		Long: `Check that the record is intact: its tables and triggers, the hash of every event, the
tree over them, the signature of the checkpoint, and that the views say what the events say. It
must be signed with this machine's key, and have grown from the checkpoints that the recorder
wrote to its journal.

With --input, check an export instead, on any machine. With --key, the record must be of the
key that was noted, or of one that it handed over to; all keys in it are named, and how far each
vouches. With --checkpoint, it must still begin with the events that an earlier checkpoint, kept
elsewhere, covers: nothing else shows that a record was rolled back to an older copy, or made
anew with its key. klp-audit export --checkpoint FILE writes one to keep.

The exit status is 0 if it is intact, 4 if it was altered, 5 if its end is missing, and 1 if
that is not known, also because the file is no record: then the error says what it is, unless it
took the place of the machine's own record. A KEY with a typing error is a wrong call, 2.

A record is tamper-evident, not tamper-proof: whoever can write to it and read its key can make
another one. Compare the key and a checkpoint that were noted elsewhere.`,
		Example: `  klp-audit verify
  klp-audit verify --key klp-audit/0123456789abcdef+… --checkpoint last-audit.checkpoint
  klp-audit verify --input record.jsonl --checkpoint last-audit.checkpoint`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := a.verify(cmd, &f)
			if err != nil {
				return err
			}
			if err := a.print(&report.Verified{Verification: v, Earlier: len(f.checkpoints)}, f.format); err != nil {
				return err
			}
			return exitFor(v.Result)
		},
	}
	enumFlag(cmd, &f.format, "format", "print as `FORMAT`", report.Formats(&report.Verified{}))
	cmd.Flags().StringVar(&f.key, "key", "", "this verifier `KEY` must be one of the record's")
	cmd.Flags().StringArrayVar(&f.checkpoints, "checkpoint", nil, "check that the record grew from that of the earlier checkpoint in `FILE`; may be repeated")
	cmd.Flags().StringVar(&f.input, "input", "", "check the export in `FILE`")
	a.renamed(cmd.Flags(), "export", "input")
	return cmd
}

func (a *app) verify(cmd *cobra.Command, f *verifyFlags) (*proof.Verification, error) {
	if err := checkKey(cmd, f.key); err != nil {
		return nil, err
	}
	var earlier []string
	for _, path := range f.checkpoints {
		note, err := readCheckpoint("--checkpoint", path)
		if err != nil {
			return nil, err
		}
		earlier = append(earlier, note)
	}
	if f.input == "" {
		return a.verifyRecord(cmd.Context(), f.key, earlier)
	}
	if a.db != "" {
		return nil, usageError{errTwoRecords}
	}
	if err := expect("--input", f.input, "an export", filekind.Export); err != nil {
		return nil, err
	}
	in, err := os.Open(f.input)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	work := progress.Begin(cmd.Context(), "verifying the export", info.Size())
	defer work.End()
	v, err := proof.VerifyExport(cmd.Context(), io.TeeReader(in, work), f.key, earlier...)
	if err != nil {
		return nil, fmt.Errorf("export %q: %w", f.input, err)
	}
	return v, nil
}

// verifyRecord checks the record, as it is. One that SQLite cannot read is altered, too, and
// one that is gone while its key is there is truncated as much as can be.
func (a *app) verifyRecord(ctx context.Context, key string, earlier []string) (*proof.Verification, error) {
	err := a.misplaced()
	var s *store.Store
	if err == nil {
		s, err = store.OpenToVerify(ctx, a.recordPath())
	}
	if err == nil {
		defer s.Close()
		var v *proof.Verification
		if v, err = a.verifyOpen(ctx, s, key, earlier); err == nil {
			return v, nil
		}
	}
	if v := a.lost(err); v != nil {
		return v, nil
	}
	return nil, err
}

func (a *app) rebuildCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rebuild",
		Short:   "Derive the views anew from the events",
		Long:    `Derive the tables that reports read anew from the events. No event is touched.`,
		Example: `  klp-audit rebuild`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.db != "" {
				return usageError{errors.New("rebuild works on a machine's record, not on --db")}
			}
			s, err := a.open(cmd.Context()) // makes no new one
			if err == nil {
				err = s.Close()
			}
			if err != nil && !errors.Is(err, store.ErrUnfinished) { // which the writer finishes
				return err
			}
			if s, err = a.openWriter(cmd.Context()); err != nil {
				return err
			}
			defer s.Close()
			return s.Rebuild(cmd.Context())
		},
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.Stdout, "klp-audit %s\n", version)
			return err
		},
	}
}
