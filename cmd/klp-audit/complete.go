package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/store"
)

// completedRows is how far back the record is read for the values of a flag.
const completedRows = 1000

// completer finds values that begin with a word; a tab is between each and what it means.
type completer = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// complete lets shells complete the values of all flags and arguments that are not completed yet: what a
// value is called in help says what it is. Nothing is changed, and who may not read the record gets nothing of it.
func (a *app) complete(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if _, known := cmd.GetFlagCompletionFunc(f.Name); !known && f.NoOptDefVal == "" {
			a.completeFlag(cmd, f)
		}
	})
	if cmd.ValidArgsFunction == nil && cmd.Name() != "import" { // what it takes are files
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, sub := range cmd.Commands() {
		a.complete(sub)
	}
}

func (a *app) completeFlag(cmd *cobra.Command, f *pflag.Flag) {
	values := cobra.NoFileCompletions
	switch what, _ := pflag.UnquoteUsage(f); {
	case strings.Contains(what, "FILE"):
		return // as shells complete by themselves
	case what == "DIR":
		f.Annotations = map[string][]string{cobra.BashCompSubdirsInDir: {}}
		return
	case what == "TIME" && f.Value.Type() != "duration":
		values = cobra.FixedCompletions(report.TimeWords, cobra.ShellCompDirectiveNoFileComp)
	case recordKnows(f.Name):
		values = a.recorded(f.Name)
	}
	cmd.RegisterFlagCompletionFunc(f.Name, values)
}

func recordKnows(what string) bool {
	return slices.Contains([]string{"package", "user", "userdata", "kernel", "patch", "boot", "cve", "advisory"}, what)
}

// recorded completes what the record knows: the values of a flag, or the events of changes.
func (a *app) recorded(what string) completer {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.fromRecord(cmd, func(ctx context.Context, s *store.Store) ([]string, error) {
			values := map[string]bool{}
			for row, err := range s.History(ctx, record.HistoryFilter{Limit: completedRows}) {
				if err != nil {
					return nil, err
				}
				for _, v := range rowValues(row, what) {
					values[v] = true
				}
			}
			if what == "cve" || what == "advisory" {
				if err := offered(ctx, s, what, values); err != nil {
					return nil, err
				}
			}
			delete(values, "unset")
			return slices.Sorted(maps.Keys(values)), nil
		})
	}
}

// fromRecord returns the values that f finds in the record; none that a shell or a terminal could take for more
// than a word, and none where an export is named, which would have to be verified first.
func (a *app) fromRecord(cmd *cobra.Command, f func(context.Context, *store.Store) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	if input := cmd.Flags().Lookup("input"); input != nil && input.Changed {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, err := a.open(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer s.Close()
	values, err := f(cmd.Context(), s)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.DeleteFunc(values, func(v string) bool {
		word, meaning, _ := strings.Cut(v, "\t")
		return word == "" || say.Printable(word+meaning) != word+meaning || strings.ContainsAny(word, " \"'`$\\;&|<>()*?[]#~!{}")
	}), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// rowValues are what a row of the history has for a flag.
func rowValues(row *record.HistoryRow, what string) (values []string) {
	known := func(list ...*string) {
		for _, v := range list {
			if v != nil {
				values = append(values, *v)
			}
		}
	}
	switch what {
	case "package":
		return []string{row.Package}
	case "user":
		known(row.Actor.Login, row.Actor.SudoUser, row.Actor.Automation)
	case "userdata":
		values = []string{record.NoUserData}
		known(row.UserData)
	case "kernel":
		known(row.KernelRelease)
	case "patch":
		if v, err := rpmversion.Parse(row.Version); err == nil && row.Kind == record.PackageLivepatch {
			return []string{livepatch.Module(row.Package, v.Version, v.Release)}
		}
	case "boot":
		return []string{row.BootID}
	case "cve":
		return slices.Concat(row.CVEsAdded, row.CVEsRemoved)
	}
	return values
}

// offered adds the ids of the vendor's advisories that are on record, or the numbers that they name.
func offered(ctx context.Context, s *store.Store, what string, values map[string]bool) error {
	offers, err := audit.ReadOffers(ctx, s, record.Always())
	if err != nil {
		return err
	}
	for _, o := range offers.All() {
		list := o.CVEs
		if what == "advisory" {
			list = []string{o.ID}
		}
		for _, v := range list {
			values[v] = true
		}
	}
	return nil
}

// completeEvents completes the numbers of events with changes, the newest first.
func (a *app) completeEvents(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.fromRecord(cmd, func(ctx context.Context, s *store.Store) (list []string, _ error) {
		last := int64(0)
		for row, err := range s.History(ctx, record.HistoryFilter{Limit: completedRows}) {
			if err != nil {
				return nil, err
			}
			if row.Event != last {
				list = append(list, fmt.Sprintf("%d\t%s %s %s", row.Event, row.Time.Short(), row.Action, row.Package))
			}
			last = row.Event
		}
		return list, nil
	})
}

// completeExceptions completes the ids of exceptions that can be ended.
func (a *app) completeExceptions(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.fromRecord(cmd, func(ctx context.Context, s *store.Store) (list []string, _ error) {
		all, err := s.Exceptions(ctx, a.Now())
		for _, x := range all {
			if x.Ended == nil {
				about := audit.ExceptionAt(x, a.Now())
				list = append(list, fmt.Sprintf("%s\t%s, until %s", x.ID, about.About(), x.Until.Short()))
			}
		}
		return list, err
	})
}

// completeProfiles completes the names of profiles, one's own among them.
func (a *app) completeProfiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names := slices.Clone(compliance.Profiles())
	own, _ := filepath.Glob(filepath.Join(a.root, "/", profileDir, "*.toml"))
	for _, path := range own {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			names = append(names, strings.TrimSuffix(filepath.Base(path), ".toml"))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeList completes words with commas between them.
func completeList(words []string) completer {
	return func(_ *cobra.Command, _ []string, word string) (list []string, _ cobra.ShellCompDirective) {
		before := word[:strings.LastIndex(word, ",")+1]
		for _, w := range words {
			if !slices.Contains(strings.Split(before, ","), w) {
				list = append(list, before+w)
			}
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}
