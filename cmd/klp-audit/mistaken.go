package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/klp-audit/klp-audit/internal/filekind"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// mistaken is a file that was given for something that it is not.
type mistaken struct {
	flag, path string
	is         filekind.Kind
	want       string
}

// Error says what it is.
func (m mistaken) Error() string {
	return fmt.Sprintf("%s %q: it is %s, not %s", m.flag, m.path, m.is, m.want)
}

// hint says how it is used.
func (m mistaken) hint() string {
	switch {
	case m.is.Packed():
		return "unpack it first"
	case m.is == filekind.FIFO, m.is == filekind.Socket, m.is == filekind.Device:
		return "write what it gives to a file first"
	case m.is == filekind.Export:
		return "reports read an export with --input FILE, and `klp-audit verify --export FILE` checks it"
	case m.is == filekind.Record:
		return "a copy of a record is read with --db FILE"
	case m.is == filekind.Checkpoint, m.is == filekind.Verification:
		return "`klp-audit verify --checkpoint FILE` compares a record with an earlier checkpoint"
	case m.is == filekind.VerifierKey:
		return "`klp-audit verify --key KEY` checks with a key, which is given itself, not as a file"
	case m.is == filekind.PrivateKey:
		return "it signs the record: keep it where it is, and secret"
	case m.is == filekind.History:
		return "`klp-audit import FILE` takes it in"
	}
	return ""
}

// expect returns an error if the file that a flag names is not of one of the wanted kinds.
func expect(flag, path, want string, kinds ...filekind.Kind) error {
	is, err := filekind.Of(path)
	if err == nil && !slices.Contains(kinds, is) {
		err = mistaken{flag, path, is, want}
	}
	return err
}

// open opens the record that the flags name, as it is.
func (a *app) open(ctx context.Context) (*store.Store, error) {
	if err := a.misplaced(); err != nil {
		return nil, err
	}
	return store.OpenReadOnly(ctx, a.recordPath()) // names what is missing
}

// misplaced says what is in the place of the record that the flags name, if something else is. In the
// place of the machine's own record that is damage, in the place of a copy a mistake.
func (a *app) misplaced() error {
	path := a.recordPath()
	err := expect("--db", path, "a record", filekind.Record)
	var m mistaken
	switch {
	case errors.Is(err, fs.ErrNotExist), a.db == "" && errors.As(err, &m) && m.is == filekind.Empty:
		return nil // there is none, and the store says so
	case a.db == "" && errors.As(err, &m):
		return fmt.Errorf("record %q: %w: it is %s", path, store.ErrDamaged, m.is)
	}
	return err
}

// badKey is a verifier key that is none.
type badKey struct{ error }

// checkKey checks a verifier key that was given.
func checkKey(cmd *cobra.Command, key string) error {
	if !cmd.Flags().Changed("key") {
		return nil
	}
	if err := proof.CheckVerifierKey(key); err != nil {
		return usageError{badKey{fmt.Errorf("--key: %w", err)}}
	}
	return nil
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
