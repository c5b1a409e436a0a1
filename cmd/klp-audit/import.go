package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/say"
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

Lines that cannot be read are listed, and the rest goes in, all of it at once. If no line of any
file can be read, that is an error. A machine without a record gets one only if there is something to take in.`,
		Example: `  klp-audit import /var/log/zypp/history*
  klp-audit import --timezone Europe/Berlin history-20240101.xz`,
		Args: atLeast("the names of history files, such as /var/log/zypp/history"),
		RunE: func(cmd *cobra.Command, files []string) error {
			if a.db != "" {
				return usageError{errors.New("import works on a machine's record, not on --db")}
			}
			if slices.Contains(files, "") {
				return usageError{errors.New("import: want the names of files, not an empty one")}
			}
			rules, err := zyppimport.Zone(a.root, zone)
			if err != nil && zone != "" {
				return usageError{fmt.Errorf("--timezone: %w", err)}
			}
			if err != nil {
				return err
			}
			sum, err := a.takeIn(cmd.Context(), zyppimport.Options{
				Files: files, Zone: rules, Root: a.root, Version: version,
				Problem: func(p zyppimport.Problem) { a.complain("%v", p) },
				Redact:  a.config().Redact, NoUserData: !a.config().UserData,
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "%s read: %s taken in, %d found on record, %d imported before, %s not readable\n",
				say.Plural(sum.Files, "file"), say.Plural(sum.Added, "change"), sum.Linked, sum.Known, say.Plural(sum.Broken, "line"))
			return err
		},
	}
	cmd.Flags().StringVar(&zone, "timezone", "", "the history's local times are of `ZONE`, like Europe/Berlin, UTC or +01:00 (default: the machine's)")
	return cmd
}

// takeIn takes history files into the machine's record. It makes one only for what goes into it.
func (a *app) takeIn(ctx context.Context, o zyppimport.Options) (zyppimport.Summary, error) {
	if _, err := os.Stat(a.recordPath()); errors.Is(err, fs.ErrNotExist) {
		if worth, sum, err := zyppimport.Worth(ctx, o); !worth {
			return sum, err
		}
	}
	a.catchUp(ctx)
	s, err := a.openWriter(ctx)
	if err != nil {
		return zyppimport.Summary{}, err
	}
	defer s.Close()
	return zyppimport.Import(ctx, s, o)
}
