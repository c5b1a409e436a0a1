package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/config"
	"github.com/klp-audit/klp-audit/internal/helptest"
)

// configuredBy reads a configuration that is a text.
func configuredBy(t *testing.T, text string) *config.Config {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "usr/etc/klp-audit")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "klp-audit.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c := config.Read(root)
	for _, p := range c.Problems {
		t.Error(p)
	}
	return c
}

// values are the values of all keys, and how many of them a file sets.
func values(c *config.Config) (list []string, set int) {
	for _, s := range c.Settings {
		list = append(list, fmt.Sprintf("%s = %#v", s.Key, s.Value))
		if s.Origin != config.BuiltIn {
			set++
		}
	}
	return list, set
}

// The file of the package sets nothing; with its comments opened, it sets each key to what is
// built in.
func TestPackagedConfiguration(t *testing.T) {
	text, err := os.ReadFile(packaging + "klp-audit.toml")
	if err != nil {
		t.Fatal(err)
	}
	builtIn, set := values(configuredBy(t, string(text)))
	if set != 0 {
		t.Errorf("%d keys are set", set)
	}
	opened := regexp.MustCompile(`(?m)^#(\w+ = )`).ReplaceAllString(string(text), "$1")
	shown, set := values(configuredBy(t, opened))
	if diff := cmp.Diff(builtIn, shown); diff != "" || set != len(config.Keys()) {
		t.Errorf("%d keys are shown, with these values (-built in +shown):\n%s", set, diff)
	}
}

// klp-audit.toml(5) explains the keys that there are, in their order, with what is built in,
// and its examples are right.
func TestPackagedConfigurationMan(t *testing.T) {
	page, err := os.ReadFile(packaging + "man/klp-audit.toml.5")
	if err != nil {
		t.Fatal(err)
	}
	var keys, defaults []string
	for _, m := range regexp.MustCompile(`(?ms)^\.TP\n\\fB(\w+)\\fR = .*?^Default: ([^ \n]+?)[.,]`).FindAllStringSubmatch(string(page), -1) {
		keys, defaults = append(keys, m[1]), append(defaults, m[1]+" = "+m[2])
	}
	if diff := cmp.Diff(config.Keys(), keys); diff != "" {
		t.Errorf("keys (-are +explained):\n%s", diff)
	}
	builtIn, _ := values(configuredBy(t, ""))
	explained, _ := values(configuredBy(t, strings.Join(defaults, "\n")))
	if diff := cmp.Diff(builtIn, explained); diff != "" {
		t.Errorf("(-built in +explained):\n%s", diff)
	}
	example := helptest.Examples(string(page))[0]
	if _, set := values(configuredBy(t, example)); set != 3 {
		t.Errorf("%d keys are set by\n%s", set, example)
	}
}
