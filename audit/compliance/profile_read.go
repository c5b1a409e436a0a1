package compliance

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
)

// DefaultProfile is the profile that applies where none is named. What another profile leaves out is
// as this one says.
const DefaultProfile = "default"

// maxProfile is how many bytes a profile may have.
const maxProfile = 32 << 10

//go:embed profiles/*.toml
var builtIn embed.FS

// ErrNoProfile says that there is no profile of a name.
var ErrNoProfile = errors.New("no such profile")

// Profiles returns the names of the profiles that are built in.
func Profiles() []string { return []string{DefaultProfile, "disa-stig-sles15", "pci-dss-4.0.1"} }

// isProfileName says whether a name can be one of an own profile, which is a file's, too.
func isProfileName(name string) bool {
	return len(name) > 0 && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == "" && !strings.Contains("._-", name[:1])
}

// LoadProfile reads a profile: one that is built in, or NAME.toml in a folder of own ones,
// which may be nil. What is wrong in it is named with file and line.
func LoadProfile(name string, own fs.FS) (*Profile, error) {
	p, err := parseProfile(builtIn, "profiles/"+DefaultProfile+".toml", &Profile{Criteria: map[string]Criteria{}})
	if err != nil || name == DefaultProfile {
		return p, err
	}
	file := name + ".toml"
	switch {
	case slices.Contains(Profiles(), name):
		return parseProfile(builtIn, "profiles/"+file, p)
	case !isProfileName(name):
		return nil, fmt.Errorf("profile %q: want a name of lower case letters, digits, dots and dashes", name)
	case own == nil:
		return nil, fmt.Errorf("%w: %q; built in are %s", ErrNoProfile, name, strings.Join(Profiles(), ", "))
	}
	p, err = parseProfile(own, file, p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %q; built in are %s, own ones are in files NAME.toml", ErrNoProfile, name, strings.Join(Profiles(), ", "))
	}
	return p, err
}

// parseProfile reads a profile over another one, whose settings it keeps where it has none.
func parseProfile(dir fs.FS, file string, base *Profile) (*Profile, error) {
	info, err := fs.Stat(dir, file)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: file, Err: errors.New("not a regular file")}
	}
	if err == nil && info.Size() > maxProfile {
		return nil, fmt.Errorf("profile %s: it is longer than %d bytes", file, maxProfile)
	}
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	b, err := fs.ReadFile(dir, file)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if len(b) > maxProfile {
		return nil, fmt.Errorf("profile %s: it is longer than %d bytes", file, maxProfile)
	}
	p, err := decodeProfile(string(b), base)
	if err != nil {
		line, err := locate(string(b), base, err)
		return nil, fmt.Errorf("profile %s:%d: %w", file, line, err)
	}
	if name := strings.TrimSuffix(path.Base(file), ".toml"); p.Name != name {
		return nil, fmt.Errorf("profile %s: its name is %q, want that of the file", file, p.Name)
	}
	return p, nil
}

// decodeProfile reads a profile that begins as base. What it does not know it refuses.
func decodeProfile(text string, base *Profile) (*Profile, error) {
	var f struct {
		Name        string                    `toml:"name"`
		Title       string                    `toml:"title"`
		Description string                    `toml:"description"`
		LookBack    *Period                   `toml:"look_back"`
		MaxAge      *Period                   `toml:"max_age"`
		Check       map[string]toml.Primitive `toml:"check"`
	}
	meta, err := toml.Decode(text, &f)
	if err != nil {
		return nil, err
	}
	p := &Profile{Name: f.Name, Title: f.Title, Description: f.Description, LookBack: base.LookBack, MaxAge: base.MaxAge, Criteria: map[string]Criteria{}}
	for id, c := range base.Criteria {
		p.Criteria[id] = c.clone()
	}
	for id, settings := range f.Check {
		r, ok := RuleOf(id)
		if !ok {
			return nil, fmt.Errorf("there is no check %q", id)
		}
		c := p.Criteria[id]
		if err := meta.PrimitiveDecode(settings, &c); err != nil {
			return nil, err
		}
		if err := c.check(r, meta); err != nil {
			return nil, err
		}
		p.Criteria[id] = c
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("unknown key %q", unknown[0])
	}
	return p, p.setPeriods(f.LookBack, f.MaxAge)
}

func (p *Profile) setPeriods(lookBack, maxAge *Period) error {
	for _, set := range []struct {
		name string
		from *Period
		to   *Period
	}{{"look_back", lookBack, &p.LookBack}, {"max_age", maxAge, &p.MaxAge}} {
		switch {
		case set.from == nil:
		case *set.from == 0:
			return fmt.Errorf("%s is nothing", set.name)
		default:
			*set.to = *set.from
		}
	}
	return nil
}

// clone returns criteria that share nothing: decoding writes into lists that are there.
func (c Criteria) clone() Criteria {
	c.FailBy = maps.Clone(c.FailBy)
	c.Severities, c.Allowed, c.Keys, c.References = slices.Clone(c.Severities), slices.Clone(c.Allowed), slices.Clone(c.Keys), slices.Clone(c.References)
	return c
}

// check refuses values that are none, and thresholds that the check does not have.
func (c Criteria) check(r Rule, meta toml.MetaData) error {
	if c.Severity != Fail && c.Severity != Warn {
		return fmt.Errorf("severity %.20q of check %q: want fail or warn", c.Severity, r.ID)
	}
	for _, name := range []string{"warn", "fail", "fail_by", "severities", "allowed", "keys"} {
		if meta.IsDefined("check", r.ID, name) && !slices.Contains(r.settings, name) {
			return fmt.Errorf("check %q has no %q", r.ID, name)
		}
	}
	return nil
}

// locate finds the line of a fault: the first one up to which the text has a fault that is
// none of form. Half a list is one of form, and says nothing. The library has the place of a fault only for
// values that a type refuses by itself; of unknown keys, checks and thresholds, and of an element of a list,
// it keeps none.
func locate(text string, base *Profile, found error) (line int, fault error) {
	var form toml.ParseError
	if err := onlyForm(text); errors.As(err, &form) {
		return form.Position.Line, errors.New(form.Message)
	}
	lines := slices.Collect(strings.Lines(text))
	upTo := func(n int) error {
		for ; n > 0; n-- {
			prefix := strings.Join(lines[:n], "")
			if onlyForm(prefix) != nil {
				continue
			}
			_, err := decodeProfile(prefix, base)
			return err
		}
		return nil
	}
	line = 1 + sort.Search(len(lines)-1, func(i int) bool { return upTo(i+1) != nil })
	if err := upTo(min(line, len(lines))); err != nil {
		found = err
	}
	if errors.As(found, &form) {
		return line, errors.New(form.Message)
	}
	return line, errors.New(strings.TrimPrefix(found.Error(), "toml: "))
}

// onlyForm returns what is wrong with the form of a text.
func onlyForm(text string) error {
	var any map[string]any
	_, err := toml.Decode(text, &any)
	return err
}
