package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/klp-audit/klp-audit/internal/config"
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
		return "reports read an export with --input FILE, and `klp-audit verify --input FILE` checks it"
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
	if path == "-" {
		return usageError{fmt.Errorf("%s -: want the name of a file: write what comes in a pipe to one first", flag)}
	}
	is, err := filekind.Of(path)
	if err != nil {
		return fmt.Errorf("%s %q: %w", flag, path, cause(err))
	}
	if !slices.Contains(kinds, is) {
		return mistaken{flag, path, is, want}
	}
	return nil
}

// cause is why something could not be done to a file, without the file's name: that is named in the user's words.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return l.Err
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

// hintFor says what to do about an error, if there is something to do.
func hintFor(err error) string {
	var m mistaken
	switch {
	case errors.As(err, &m):
		return m.hint()
	case errors.As(err, new(badKey)):
		return "a key looks like klp-audit/0123456789abcdef+01234567+A…, as `klp-audit verify` prints it"
	case errors.As(err, new(config.Problem)):
		return "`klp-audit config` names all that is wrong; klp-audit.toml(5) explains the keys"
	case errors.Is(err, store.ErrNoRecord):
		return "the record begins when the package klp-audit is installed; `klp-audit status` shows whether its plugin is there"
	case inTempFolder(err):
		return "temporary files go to " + os.TempDir() + "; TMPDIR names another folder"
	case errors.Is(err, store.ErrNewer):
		return "update klp-audit"
	case errors.Is(err, store.ErrUnfinished):
		return "a writer was interrupted; run `klp-audit status` once as root (with --root: `klp-audit rebuild`)"
	case errors.Is(err, store.ErrDamaged):
		return "keep the file as it is for examination; events go to the spool meanwhile"
	case errors.Is(err, os.ErrPermission) && !errors.As(err, new(unwritten)):
		return "root and members of the group klp-audit may read the record"
	}
	return ""
}

// inTempFolder says whether something is wrong with the folder of temporary files.
func inTempFolder(err error) bool {
	p, ok := errors.AsType[*fs.PathError](err)
	return ok && p.Path == os.TempDir()
}

// below are the names of the commands below one.
func below(cmd *cobra.Command) (names []string) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// didYouMean names the command or flag that one who mistyped it may have meant; empty: none is like it.
func didYouMean(cmd *cobra.Command, err error) string {
	var topic unknownTopic
	if errors.As(err, &topic) {
		return topic.hint(cmd.Root())
	}
	if rest, ok := strings.CutPrefix(err.Error(), `unknown command "`); ok {
		typed, _, _ := strings.Cut(rest, `"`)
		if name := nearest(typed, below(cmd)); name != "" {
			return fmt.Sprintf("did you mean `%s %s`?", cmd.CommandPath(), name)
		}
		if _, err := os.Stat(typed); err == nil && cmd.Flags().Lookup("input") != nil {
			return "an export is read with --input FILE, a copy of a record with --db FILE"
		}
	}
	if typed, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if name := nearest(typed, names); name != "" {
			return fmt.Sprintf("did you mean --%s?", name)
		}
	}
	return ""
}

// nearest is the name that is most like what was typed, if it is no more than two letters off.
func nearest(typed string, names []string) (best string) {
	least := 3
	for _, name := range names {
		if d := distance(typed, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is how many letters have to be put in, taken out or changed to make one word of another.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			before, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, before+cost)
		}
	}
	return row[len(b)]
}
