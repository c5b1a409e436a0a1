package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

// machine writes files below a root: "PATH" with a text, or "PATH -> TARGET" for a link.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name, target, link := strings.Cut(name, " -> ")
		path := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil && link {
			err = os.Symlink(target, path)
		} else if err == nil {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// settings are those that a file set, as "KEY = VALUE (ORIGIN)".
func settings(c *Config) (list []string) {
	for _, s := range c.Settings {
		if s.Origin != BuiltIn {
			list = append(list, fmt.Sprintf("%s = %v (%s)", s.Key, s.Value, s.Origin))
		}
	}
	return list
}

func problems(c *Config) (list []string) {
	for _, p := range c.Problems {
		list = append(list, p.Error())
	}
	return list
}

func TestNothingIsConfigured(t *testing.T) {
	c := Read(t.TempDir())
	if c.Profile != "default" || c.Retention != "5y" || !c.UserData || !c.CheckpointsToJournal || c.Expressions != nil {
		t.Errorf("%+v", c)
	}
	if len(c.Problems) != 0 || settings(c) != nil {
		t.Errorf("problems %v, settings %v", c.Problems, settings(c))
	}
}

func TestFilesCountInOrder(t *testing.T) {
	const (
		vendor, admin = "usr/etc/klp-audit/klp-audit.toml", "etc/klp-audit/klp-audit.toml"
		d             = ".d/"
	)
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"the vendor's", map[string]string{vendor: "profile = 'v'\n"}, []string{"profile = v (/usr/etc/klp-audit/klp-audit.toml:1)"}},
		{"the administrator's instead of it", map[string]string{vendor: "profile = 'v'\nuserdata = false", admin: "\nprofile = 'a'"},
			[]string{"profile = a (/etc/klp-audit/klp-audit.toml:2)"}},
		{"an empty one instead of it", map[string]string{vendor: "profile = 'v'", admin: ""}, nil},
		{"none instead of it", map[string]string{vendor: "profile = 'v'", admin + " -> /dev/null": ""}, nil},
		{"drop-ins over it, by name", map[string]string{
			vendor: "profile = 'v'\nretention = '9d'", vendor + d + "50.toml": "profile = 'fifty'", admin + d + "10.toml": "profile = 'ten'\nuserdata = false",
		}, []string{"profile = fifty (/usr/etc/klp-audit/klp-audit.toml.d/50.toml:1)", "retention = 9d (/usr/etc/klp-audit/klp-audit.toml:2)", "userdata = false (/etc/klp-audit/klp-audit.toml.d/10.toml:2)"}},
		{"a drop-in instead of the vendor's of that name", map[string]string{vendor + d + "50.toml": "profile = 'v'", admin + d + "50.toml": "retention = '9d'"},
			[]string{"retention = 9d (/etc/klp-audit/klp-audit.toml.d/50.toml:1)"}},
		{"none instead of a drop-in", map[string]string{vendor + d + "50.toml": "profile = 'v'", admin + d + "50.toml -> /dev/null": ""}, nil},
		{"other files", map[string]string{admin + d + "50.toml.rpmnew": "profile = 'n'", admin + d + "README": "no"}, nil},
		{"lists are replaced", map[string]string{admin: "redact = ['a', 'b']", admin + d + "1.toml": "redact = ['c']"},
			[]string{"redact = [c] (/etc/klp-audit/klp-audit.toml.d/1.toml:1)"}},
	} {
		c := Read(machine(t, test.files))
		if diff := cmp.Diff(test.want, settings(c)); diff != "" || len(c.Problems) > 0 {
			t.Errorf("%s: problems %v, settings (-want +got):\n%s", test.name, c.Problems, diff)
		}
	}
}

// A mistake is reported with file and line and left out; the rest applies.
func TestMistakes(t *testing.T) {
	c := Read(machine(t, map[string]string{
		"etc/klp-audit/klp-audit.toml": `profile = "pci-dss-4.0.1" # fine
retenton = "30d"
retention = "30 days"
userdata = "no"
[check]
redact = [
  'token=\S+', # fine
  'a(b',
  "(?i)key",
  'x*',
]
checkpoints_to_journal = false behind
profile = "default"
userdata = false
= 4
retention = 30
'x'
`,
		"etc/klp-audit/klp-audit.toml.d/1.toml":   "\xff\nprofile = 'x'",
		"etc/klp-audit/klp-audit.toml.d/2.toml/x": "",
		"etc/klp-audit/klp-audit.toml.d/3.toml":   "redact = ['a'\nprofile = 'x'",
		"etc/klp-audit/klp-audit.toml.d/4.toml":   strings.Repeat("x = 1\n", 30),
		"etc/klp-audit/klp-audit.toml.d/5.toml":   strings.Repeat("#", maxFile+1),
	}))
	const file = "configuration /etc/klp-audit/klp-audit.toml:"
	want := []string{
		file + `2: unknown key "retenton": want profile, retention, userdata, redact, checkpoints_to_journal`,
		file + `3: retention: "30 days": want an age like 5y, 18m or 400d`,
		file + `4: userdata: want true or false`,
		file + `5: want KEY = VALUE, not "[check]"`,
		file + "8: redact: \"a(b\": error parsing regexp: missing closing ): `a(b`",
		file + `10: redact: "x*": matches an empty text`,
		file + `12: checkpoints_to_journal: "behind" behind the value`,
		file + `13: profile: set a second time`,
		file + `14: userdata: set a second time`,
		file + `15: want KEY = VALUE, not "= 4"`,
		file + `16: retention: want a string in quotes, true, false or a list of strings`,
		file + `17: want KEY = VALUE, not "'x'"`,
	}
	if diff := cmp.Diff(want, problems(c)[:len(want)]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for i, want := range []string{"1.toml:1: not UTF-8", "2.toml: ", `3.toml:2: redact: want a comma`, "4.toml:1: x: want a string"} {
		if got := problems(c)[12+i]; !strings.HasPrefix(got, "configuration /etc/klp-audit/klp-audit.toml.d/"+want) {
			t.Errorf("problem %q, want %q", got, want)
		}
	}
	last := problems(c)[len(c.Problems)-2:]
	if want := []string{"configuration /etc/klp-audit/klp-audit.toml.d/4.toml: 10 more mistakes", "configuration /etc/klp-audit/klp-audit.toml.d/5.toml: longer than 65536 bytes"}; !cmp.Equal(last, want) {
		t.Errorf("%q, want %q", last, want)
	}
	if want := []string{"profile = pci-dss-4.0.1 (/etc/klp-audit/klp-audit.toml:1)", `redact = [token=\S+ (?i)key] (/etc/klp-audit/klp-audit.toml:6)`}; !cmp.Equal(settings(c), want) {
		t.Errorf("settings %q, want %q", settings(c), want)
	}
	if got := c.Redact("--token=abc My-KEY"); got != "--*** My-***" {
		t.Errorf("redacted: %q", got)
	}
	if c.Retention != "5y" || !c.UserData {
		t.Errorf("%+v", c)
	}
}

// The ages are those that prune's --keep accepts.
func TestAges(t *testing.T) {
	for _, text := range []string{"5y", "18m", "400d", "4095d"} {
		if err := age(text); err != nil {
			t.Error(err)
		}
	}
	for _, text := range []string{"", "y", "0d", "5", "5yd", "-5y", "5 y", "4096d", "5Y", "+5y", "1e3d"} {
		if err := age(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// An expression that would be slow is refused before it is used.
func TestExpressionsAreBounded(t *testing.T) {
	for _, text := range []string{strings.Repeat("a", 257), "(a{30}){30}{30}", "(?:(?:x{50}){20})+", "^", "a?", ""} {
		if _, err := expression(text); err == nil {
			t.Errorf("%.40q is taken", text)
		}
	}
	many := "redact = [" + strings.Repeat("'a',", maxExpressions+1) + "]"
	c := Read(machine(t, map[string]string{"etc/klp-audit/klp-audit.toml": many}))
	if len(c.Problems) != 1 || len(c.Expressions) != 0 {
		t.Errorf("%v, %d expressions", c.Problems, len(c.Expressions))
	}
}

// Whatever is read without a fault is TOML, and has the same meaning there.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"profile = \"a\\u00e9\\n\"\r\n", "a='b\\c' # d\n\t e = [ 'f' , \"g\", # h\n\n]\nuserdata=true", "x = []", "x = ['a' 'b']", "x = \"\"\"a\"\"\"", "x = ''", "x=\"\\ud800\"",
		"a = 1\nb = false", "1 = true", "a = [\n'b',,]", "a = 'x\x01'", "a.b = true", "a = true # \x7f", "a='b'\rc='d'", "\ufeffa = true", "a = \"\\x41\"", "a = \"\t\"",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, faults := parse(text)
		if len(faults) > 0 {
			return
		}
		var want map[string]any
		if _, err := toml.Decode(text, &want); err != nil {
			t.Fatalf("%q is no TOML: %v", text, err)
		}
		got := map[string]any{}
		for _, s := range list {
			value := s.value
			if items, ok := value.([]item); ok {
				texts := []any{}
				for _, it := range items {
					texts = append(texts, it.text)
				}
				value = texts
			}
			got[s.key] = value
		}
		if len(want)+len(got) > 0 && !cmp.Equal(want, got) {
			t.Errorf("%q (-toml +got):\n%s", text, cmp.Diff(want, got))
		}
	})
}

// Reading a file of any content ends, and all keys have a value.
func FuzzRead(f *testing.F) {
	f.Add("profile = 'x'\nredact = ['a', 'b(']\nretention = '1d'")
	f.Add("redact = ['(((((((((((((x{9}){9}){9}){9})']")
	f.Fuzz(func(t *testing.T, text string) {
		root := t.TempDir()
		dir := filepath.Join(root, "etc/klp-audit")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "klp-audit.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		c := Read(root)
		if c.Profile == "" || c.Retention == "" || len(c.Settings) != len(Keys()) {
			t.Errorf("%+v", c)
		}
		c.Redact(text)
	})
}
