package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

// The further exit codes of verify.
const (
	exitAltered   = 4
	exitTruncated = 5
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	format, key, export string
	checkpoints         []string
}

func (a *app) verifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that the record is intact",
		Long: `Check that the record is intact: the hash of every event, the tree over them, the
signature of the checkpoint, and that the views say what the events say; and that the record
grew from those whose checkpoints the recorder wrote to this machine's journal.

With --export, check an export instead, on any machine. With --checkpoint, also that the
record grew from the one that a checkpoint, noted earlier and kept elsewhere, is of: nothing
else shows a record that was rolled back to an older copy, or made anew with its key.

The exit status is 0 if it is intact, 4 if it was altered, 5 if its end is missing, and 1 if
that cannot be told. A record is tamper-evident, not tamper-proof: who can write to it and
read its key can make another one. Compare the key and a checkpoint that were noted
elsewhere.`,
		Example: `  klp-audit verify
  klp-audit verify --key klp-audit/0123456789abcdef+… --checkpoint last-audit.checkpoint
  klp-audit verify --export record.jsonl --checkpoint last-audit.checkpoint`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := a.verify(cmd, &f)
			if err != nil {
				return err
			}
			if err := report.WriteVerification(a.Stdout, f.format, v); err != nil {
				return err
			}
			switch v.Result {
			case store.Altered:
				return exitStatus(exitAltered)
			case store.Truncated:
				return exitStatus(exitTruncated)
			}
			return nil
		},
	}
	enumFlag(cmd, &f.format, "format", "print as `FORMAT`", report.StatusFormats())
	cmd.Flags().StringVar(&f.key, "key", "", "check the signature with this verifier `KEY`, not with the one in the record")
	cmd.Flags().StringArrayVar(&f.checkpoints, "checkpoint", nil, "check that the record grew from that of the earlier checkpoint in `FILE`; may be repeated")
	cmd.Flags().StringVar(&f.export, "export", "", "check the export in `FILE`")
	return cmd
}

func (a *app) verify(cmd *cobra.Command, f *verifyFlags) (*store.Verification, error) {
	var earlier []string
	for _, path := range f.checkpoints {
		note, err := readCheckpoint(path)
		if err != nil {
			return nil, err
		}
		earlier = append(earlier, note)
	}
	if !cmd.Flags().Changed("export") {
		return a.verifyRecord(cmd.Context(), f.key, earlier)
	}
	if a.db != "" {
		return nil, usageError{errors.New("verify: --export and --db name two records")}
	}
	in, err := os.Open(f.export)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	v, err := store.VerifyExport(cmd.Context(), in, f.key, earlier...)
	if err != nil {
		return nil, fmt.Errorf("export %q: %w", f.export, err)
	}
	return v, nil
}

// verifyRecord checks the record, as it is. One that SQLite cannot read is altered, too, and
// one that is gone while its key is there is truncated as much as can be.
func (a *app) verifyRecord(ctx context.Context, key string, earlier []string) (*store.Verification, error) {
	s, err := store.OpenReadOnly(ctx, a.recordPath())
	if err == nil {
		defer s.Close()
		var v *store.Verification
		if v, err = a.verifyOpen(ctx, s, key, earlier); err == nil {
			return v, nil
		}
	}
	if errors.Is(err, store.ErrDamaged) {
		return &store.Verification{Result: store.Altered, Problems: []string{err.Error()}}, nil
	}
	if _, keyErr := os.Stat(store.KeyPath(a.root)); a.db == "" && errors.Is(err, store.ErrNoRecord) && keyErr == nil {
		return &store.Verification{Result: store.Truncated, Problems: []string{err.Error() + ", but its key is there"}}, nil
	}
	return nil, err
}

// verifyOpen checks an open record: the machine's own with what its journal knows of it.
func (a *app) verifyOpen(ctx context.Context, s *store.Store, key string, earlier []string) (*store.Verification, error) {
	if a.db != "" {
		return s.Verify(ctx, key, earlier...)
	}
	v, err := observe.Verify(ctx, s, a.root, key, earlier...)
	if err != nil {
		return nil, err
	}
	if v.Unread != "" {
		a.complain("not all checkpoints in the journal are looked at: %s", v.Unread)
	}
	return v.Verification, nil
}

func (a *app) rebuildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rebuild",
		Short: "Derive the views anew from the events",
		Long:  `Derive the tables that reports read anew from the events. No event is touched.`,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.db != "" {
				return usageError{errors.New("rebuild works on a machine's record, not on --db")}
			}
			s, err := store.OpenReadOnly(cmd.Context(), a.recordPath()) // makes no new one
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
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
