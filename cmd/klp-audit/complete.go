package main

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// completedRows is how far back the record is read for the values of a flag.
const completedRows = 1000

// completeFromRecord lets shells complete the values of flags that the record knows: names of
// packages and users, kernels, live patches, boots. It reads and changes nothing.
func (a *app) completeFromRecord(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if _, known := cmd.GetFlagCompletionFunc(f.Name); !known && recordKnows(f.Name) {
			cmd.RegisterFlagCompletionFunc(f.Name, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
				return a.recorded(cmd, f.Name), cobra.ShellCompDirectiveNoFileComp
			})
		}
	})
	for _, sub := range cmd.Commands() {
		a.completeFromRecord(sub)
	}
}

func recordKnows(flag string) bool {
	return slices.Contains([]string{"package", "user", "kernel", "patch", "boot"}, flag)
}

// recorded lists the values that the newest rows of the history have for a flag.
func (a *app) recorded(cmd *cobra.Command, flag string) []string {
	s, err := a.open(cmd.Context())
	if err != nil {
		return nil
	}
	defer s.Close()
	values := map[string]bool{}
	for row, err := range s.History(cmd.Context(), record.HistoryFilter{Limit: completedRows}) {
		if err != nil {
			return nil
		}
		for _, v := range flagValues(row, flag) {
			if v != "" && v != "unset" && say.Printable(v) == v {
				values[v] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(values))
}

// flagValues are what a row of the history has for a flag.
func flagValues(row *record.HistoryRow, flag string) (values []string) {
	known := func(v *string) {
		if v != nil {
			values = append(values, *v)
		}
	}
	switch flag {
	case "package":
		return []string{row.Package}
	case "user":
		known(row.Actor.Login)
		known(row.Actor.SudoUser)
	case "kernel":
		known(row.KernelRelease)
	case "patch":
		if v, err := rpmversion.Parse(row.Version); err == nil {
			return []string{livepatch.Module(row.Package, v.Version, v.Release)}
		}
	case "boot":
		return []string{row.BootID}
	}
	return values
}
