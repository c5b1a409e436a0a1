package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
)

// enum is a flag value out of a closed set.
type enum[T ~string] struct {
	value *T
	set   []T
}

// enumFlag adds a flag that accepts the words of a set; "format" defaults to the first.
func enumFlag[T ~string](cmd *cobra.Command, value *T, name, usage string, set []T) {
	if name == "format" {
		*value = set[0]
	}
	cmd.Flags().Var(&enum[T]{value, set}, name, usage+": "+strings.Join(words(set), ", "))
	cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words(set), cobra.ShellCompDirectiveNoFileComp))
}

// String implements pflag.Value.
func (e *enum[T]) String() string { return string(*e.value) }

// Type implements pflag.Value.
func (e *enum[T]) Type() string { return "string" }

// Set implements pflag.Value.
func (e *enum[T]) Set(s string) error {
	if !slices.Contains(e.set, T(s)) {
		return fmt.Errorf("want one of %s", strings.Join(words(e.set), ", "))
	}
	*e.value = T(s)
	return nil
}

// glob is a flag value with a pattern.
type glob struct{ value *string }

// String implements pflag.Value.
func (g glob) String() string {
	if g.value == nil {
		return ""
	}
	return *g.value
}

// Type implements pflag.Value.
func (g glob) Type() string { return "string" }

// Set implements pflag.Value. A set of characters without an end would match nothing, silently.
func (g glob) Set(s string) error {
	for rest := s; ; {
		_, set, found := strings.Cut(rest, "[")
		if !found {
			*g.value = s
			return nil
		}
		set = strings.TrimPrefix(set, "^")
		_, after, closed := strings.Cut(set[min(1, len(set)):], "]") // a first ] is one of the set
		if !closed {
			return errors.New("want a pattern with a ] after each [, such as kernel-livepatch-* or kim[0-9]")
		}
		rest = after
	}
}

func words[T ~string](values []T) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}

// useZone takes the zone of --tz for all times without one, and shows those in it that are for people: in JSON, CSV and
// the papers of an audit they are UTC.
func (a *app) useZone(cmd *cobra.Command) (err error) {
	if a.tz == "" {
		return nil
	}
	zone := time.Local
	if !strings.EqualFold(a.tz, "local") {
		if zone, err = record.ParseZone(a.tz); err != nil {
			return usageError{fmt.Errorf("--tz: %w, or local", err)}
		}
	}
	now := a.env.Now
	a.Now = func() time.Time { return now().In(zone) }
	if cmd.Flags().Changed("bundle") {
		return nil
	}
	if f := cmd.Flags().Lookup("format"); f == nil || slices.Contains([]string{"table", "html", "nagios"}, f.Value.String()) {
		record.ShowIn(zone)
	}
	return nil
}

// moment reads the value of a flag, zero if there is none.
func (a *app) moment(flag, text string) (t time.Time, err error) {
	if text == "" {
		return t, nil
	}
	if t, err = report.ParseTime(text, a.Now(), a.bootTime()); err != nil {
		return t, usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	return t, nil
}

// bootTime is when this machine was booted, zero if the record is another one's.
func (a *app) bootTime() time.Time {
	var ts unix.Timespec
	if a.foreign || a.db != "" || a.root != "/" || unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return time.Time{}
	}
	return a.Now().Add(-time.Duration(ts.Nano()))
}

// flagError puts into words what is wrong with the value of a flag.
func flagError(_ *cobra.Command, err error) error {
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		value, _ := pflag.UnquoteUsage(missing.GetFlag())
		return fmt.Errorf("--%s needs an argument: %s", missing.GetFlag().Name, value)
	}
	bad, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	f, want := bad.GetFlag(), bad.Unwrap().Error()
	switch f.Value.Type() {
	case "int":
		want = "want a whole number"
	case "duration":
		want = "want a duration such as 30s, 15m or 2h"
	case "bool", "boolfunc":
		want = "want no value, or true or false"
	}
	return fmt.Errorf("--%s %q: %s", f.Name, bad.GetValue(), want)
}

// atLeast refuses to do without an argument, and asks for it.
func atLeast(want string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s: want %s", cmd.Name(), want)
		}
		return nil
	}
}

// exactlyOne wants one argument, and asks for it.
func exactlyOne(want string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("%s %q: want only one argument", cmd.Name(), args)
		}
		return atLeast(want)(cmd, args)
	}
}

// given is the value of a flag that names something: an empty one names nothing, and is never
// as if the flag were not there.
type given struct{ pflag.Value }

// Set implements pflag.Value.
func (g given) Set(s string) error {
	if s == "" {
		return errors.New("want a value")
	}
	return g.Value.Set(s)
}

// outputFlags are the flags of all commands about how they print.
func (a *app) outputFlags(cmd *cobra.Command) {
	a.color = colorAuto
	when := []string{colorAuto, colorAlways, colorNever}
	flags := cmd.PersistentFlags()
	flags.Var(&enum[string]{&a.color, when}, "color", "colours in tables: `WHEN` is one of "+strings.Join(when, ", ")+"; auto means on a terminal, unless NO_COLOR is set")
	cmd.RegisterFlagCompletionFunc("color", cobra.FixedCompletions(when, cobra.ShellCompDirectiveNoFileComp))
	flags.BoolVar(&a.noPager, "no-pager", false, "no pager for tables and help that are longer than the screen")
	flags.BoolFunc("no-color", "earlier name of --color never", func(string) error {
		a.note("--no-color is called --color never now")
		a.color = colorNever
		return nil
	})
	flags.MarkHidden("no-color")
}

// noted is the value of a flag with a note for who uses it.
type noted struct {
	pflag.Value
	note func()
}

// Set implements pflag.Value.
func (n noted) Set(s string) error {
	n.note()
	return n.Value.Set(s)
}

// renamed keeps the earlier name of a flag working, with a note.
func (a *app) renamed(flags *pflag.FlagSet, earlier, now string) {
	f := *flags.Lookup(now)
	f.Name, f.Shorthand, f.Hidden = earlier, "", true
	f.Usage = "earlier name of --" + now
	f.Value = noted{f.Value, func() { a.note("--%s is called --%s now", earlier, now) }}
	flags.AddFlag(&f)
}

// refuseEmpty makes all flags that take words refuse an empty one.
func refuseEmpty(cmd *cobra.Command) {
	refuse := func(f *pflag.Flag) {
		switch f.Value.Type() {
		case "string":
			f.Value = given{f.Value}
		case "stringArray", "stringSlice":
			f.Value, f.DefValue = given{f.Value}, "" // "[]" would be shown
		}
	}
	cmd.PersistentFlags().VisitAll(refuse)
	cmd.LocalNonPersistentFlags().VisitAll(refuse)
	for _, sub := range cmd.Commands() {
		refuseEmpty(sub)
	}
}
