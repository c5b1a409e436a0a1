package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/zyppimport"
)

func (a *app) importCommand() *cobra.Command {
	var zone string
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Take in what libzypp's history tells of the past",
		Long: `Take in what libzypp's history, /var/log/zypp/history and what was rotated away from it,
tells of changes of kernels and live patches that are not on record. Files may be packed with
gzip, xz, bzip2 or zstd, and come in any order.

Importing again adds only what is new. What is on record already is not added: the history
is noted as further evidence for it. What is taken in is shown with the source "import", for
it is libzypp's claim: nobody compared it with the rpm database then.

Lines that cannot be read are listed, and the rest goes in.`,
		Example: `  klp-audit import /var/log/zypp/history*
  klp-audit import --timezone Europe/Berlin history-20240101.xz`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if a.db != "" {
				return usageError{errors.New("import works on a machine's record, not on --db")}
			}
			rules, err := zyppimport.Zone(a.root, zone)
			if err != nil {
				return usageError{err}
			}
			a.catchUp(cmd.Context())
			s, err := a.openWriter(cmd.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			sum, err := zyppimport.Import(cmd.Context(), s, zyppimport.Options{
				Files: files, Zone: rules, Root: a.root, Version: version,
				Problem: func(p zyppimport.Problem) { a.complain("%v", p) },
				Redact:  a.config().Redact, NoUserData: !a.config().UserData,
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "%d files read: %d changes taken in, %d found on record, %d imported before, %d lines not readable\n",
				sum.Files, sum.Added, sum.Linked, sum.Known, sum.Broken)
			return err
		},
	}
	cmd.Flags().StringVar(&zone, "timezone", "", "the history's local times are of `ZONE`, like Europe/Berlin, UTC or +01:00 (default: the machine's)")
	return cmd
}
