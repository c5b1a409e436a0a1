package compliance

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klp-audit/klp-audit/store/storetest"
)

func ownProfile(text string) fstest.MapFS {
	return fstest.MapFS{"site.toml": &fstest.MapFile{Data: []byte(text)}}
}

// A profile of one's own says what differs from the default.
func TestOwnProfile(t *testing.T) {
	p, err := LoadProfile("site", ownProfile(`name = "site"
title = "Ours"
max_age = "12h"
[check.latency]
fail = "7d"
severities = ["critical", "important"]
[check.taint]
enabled = false
[check.signatures]
keys = ["f74f09bc3fa1d6ce"]
`))
	storetest.Check(t, err)
	base := profile(t, DefaultProfile)
	if p.Title != "Ours" || time.Duration(p.MaxAge) != 12*time.Hour || p.LookBack != base.LookBack {
		t.Errorf("%+v", p)
	}
	latency := p.Criteria["latency"]
	if latency.Fail.String() != "7 days" || latency.Warn != base.Criteria["latency"].Warn || len(latency.Severities) != 2 || !latency.Enabled {
		t.Errorf("latency: %+v", latency)
	}
	m := storetest.Healthy(t)
	m.Last().Installed[0].SignatureKey = "0000000000000000"
	c := judged(m, p)
	if r := c.of(t, "taint"); r.Result != NotApplicable {
		t.Errorf("taint is %s", r.Result)
	}
	if r := c.of(t, "signatures"); r.Result != Fail || !strings.Contains(r.Detail, "does not trust") {
		t.Errorf("signatures is %s: %s", r.Result, r.Detail)
	}
}

// The built-in profiles say everything, and every check is in them.
func TestBuiltInProfilesAreWhole(t *testing.T) {
	for _, name := range Profiles() {
		p := profile(t, name)
		if p.Name != name || p.Title == "" || p.Description == "" || p.LookBack == 0 || p.MaxAge == 0 {
			t.Errorf("%+v", p)
		}
		for _, r := range Rules() {
			if c := p.Criteria[r.ID]; !c.Enabled || c.Severity == "" {
				t.Errorf("%s: %s: %+v", name, r.ID, c)
			}
			if r.Title == "" {
				t.Errorf("%s has no title", r.ID)
			}
		}
	}
}

func TestWrongProfileIsNamedWithItsLine(t *testing.T) {
	const head = "name = \"site\"\n"
	for name, tt := range map[string]struct{ text, want string }{
		"no TOML":               {head + "x = ", "profile site.toml:2: "},
		"unknown key":           {head + "\nlookback = \"1d\"\n", `profile site.toml:3: unknown key "lookback"`},
		"unknown check":         {head + "[check.latency]\n[check.colour]\n", `profile site.toml:3: there is no check "colour"`},
		"unknown setting":       {head + "[check.latency]\nfail = \"1d\"\nfale = \"1d\"\n", `profile site.toml:4: unknown key "check.latency.fale"`},
		"setting of another":    {head + "[check.taint]\nfail = \"1d\"\n", `profile site.toml:3: check "taint" has no "fail"`},
		"no period":             {head + "[check.latency]\nfail = \"soon\"\n", `profile site.toml:3: "soon" is no period`},
		"a period of millennia": {head + "[check.latency]\nfail = \"99999d\"\n", `profile site.toml:3: "99999d" is no period`},
		"a number":              {head + "max_age = 3\n", `profile site.toml:2: `},
		"no time":               {head + "max_age = \"0d\"\n", `profile site.toml:2: max_age is nothing`},
		"unknown severity":      {head + "[check.taint]\nseverity = \"meh\"\n", `profile site.toml:3: severity "meh" of check "taint": want fail or warn`},
		"list over many lines":  {head + "[check.taint]\nallowed = [\n\"K\",\n4,\n]\n", `profile site.toml:6: `},
		"another name":          {"name = \"other\"\n", `its name is "other"`},
		"too long":              {head + strings.Repeat("#", maxProfile), "longer than 32768 bytes"},
	} {
		_, err := LoadProfile("site", ownProfile(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	for name, want := range map[string]string{"nosuch": "no such profile", "../site": "lower case letters", "": "lower case letters"} {
		for _, dir := range []fstest.MapFS{{}, nil} {
			if _, err := LoadProfile(name, dir); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
}

func FuzzProfile(f *testing.F) {
	// Large seeds would have the fuzzer spend its time on making them smaller.
	f.Add("name = \"site\"\nmax_age = \"12h\"\n[check.latency]\nfail = \"7d\"\nseverities = [\"critical\"]\n")
	f.Add("name = \"site\"\n[check.taint]\nallowed = [\n4,\n]\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := LoadProfile("site", ownProfile(text))
		if err == nil && (p.LookBack == 0 || len(p.Criteria) != len(Rules())) {
			t.Errorf("%+v", p)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "profile site.toml:") {
			t.Error(err)
		}
	})
}
