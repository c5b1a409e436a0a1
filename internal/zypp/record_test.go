package zypp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRecord(t *testing.T) {
	tests := []struct {
		name, line string
		want       Record
	}{
		{"command", `2026-11-23 06:37:39|command|root@vm|'zypper' '--userdata' 'tid=foo:bar\\x\|y' 'in'|tid=foo:bar\\x\|y`,
			Record{Action: ActionCommand, RequestedBy: "root@vm", Command: `'zypper' '--userdata' 'tid=foo:bar\x|y' 'in'`, UserData: `tid=foo:bar\x|y`}},
		{"install", `2026-11-23 06:38:09|install|kernel-firmware-network|3:20240712-150600.3.3.1|noarch||lab|abc|it\'s \"up\"`,
			Record{Action: ActionInstall, Name: "kernel-firmware-network", Version: "3:20240712-150600.3.3.1", Arch: "noarch", Repo: "lab", Checksum: "abc", UserData: `it's "up"`}},
		{"an install's alias is not escaped", `2026-11-23 06:38:09|install|a|1-1|noarch||my\lab|abc|`,
			Record{Action: ActionInstall, Name: "a", Version: "1-1", Arch: "noarch", Repo: `my\lab`, Checksum: "abc"}},
		{"remove without userdata", `2010-06-01 16:11:17|remove |xchat-python|2.8.6-43.13|x86_64|2848:y2base`,
			Record{Action: ActionRemove, Name: "xchat-python", Version: "2.8.6-43.13", Arch: "x86_64", RequestedBy: "2848:y2base"}},
		{"patch", `2026-11-23 06:38:09|patch  |SUSE-2024-1234|1|noarch|lab|important|security|needed|applied|upd`,
			Record{Action: ActionPatch, Name: "SUSE-2024-1234", Version: "1", Arch: "noarch", Repo: "lab", Severity: "important",
				Category: "security", OldState: "needed", NewState: "applied", UserData: "upd"}},
		{"radd", `2026-11-23 06:37:21|radd   |my\|lab|dir:/lab/repo|`,
			Record{Action: ActionRepoAdd, Repo: "my|lab", URL: "dir:/lab/repo"}},
		{"rremove", `2009-09-29 07:47:32|rremove|InstallationImage|`,
			Record{Action: ActionRepoRemove, Repo: "InstallationImage"}},
		{"ralias", `2026-11-23 06:37:21|ralias |a|b|u`,
			Record{Action: ActionRepoAlias, Repo: "a", NewRepo: "b", UserData: "u"}},
		{"rurl", `2026-11-23 06:37:21|rurl   |dir:/a|dir:/b|`,
			Record{Action: ActionRepoBaseURL, OldURL: "dir:/a", URL: "dir:/b"}},
		{"an unknown action keeps its columns", `2026-11-23 06:37:21|frob   |a\|b|c|`,
			Record{Action: "frob", Rest: `a\|b|c|`}},
		{"more columns than known", `2026-11-23 06:37:21|rremove|a|u|new|`,
			Record{Action: ActionRepoRemove, Repo: "a", UserData: "u", Rest: "new|"}},
		{"a backslash at the end", `2026-11-23 06:37:21|rremove|a|u\`,
			Record{Action: ActionRepoRemove, Repo: "a", UserData: `u\`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseRecord(test.line)
			if err != nil {
				t.Fatal(err)
			}
			test.want.Time = test.line[:len(historyTime)]
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRecordRefusesBrokenLines(t *testing.T) {
	tests := map[string]string{
		"":                                   "does not begin with a time",
		"yesterday|install|a|1|noarch|":      "does not begin with a time",
		"2026-11-23 06:37:21":                "no action",
		"2026-11-23 06:37:21|  |":            "no action",
		"2026-11-23 06:37:21|install|kernel": "column 4 is empty",
		"2026-11-23 06:37:21|remove ||1|":    "column 3 is empty",
	}
	for line, want := range tests {
		if _, err := ParseRecord(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRecord(%q) = %v, want an error with %q", line, err, want)
		}
	}
}

func TestQuoteCommandMatchesTheRecord(t *testing.T) {
	argv := []string{"zypper", "--non-interactive", "--no-gpg-checks", "--userdata", "tid=foo:bar,reason=CHG001", "in",
		"kernel-default=6.4.0-150600.23.17.1", "kernel-macros=6.4.0-150600.23.17.1", "kernel-livepatch-nomv-default=1",
		"kernel-livepatch-6_4_0-150600_23_17-default=1"}
	text, err := os.ReadFile("testdata/libzypp-17.25.7-install.history")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	r, err := ParseRecord(line)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Command, QuoteCommand(argv)); diff != "" {
		t.Error(diff)
	}
}

func TestQuoteCommand(t *testing.T) {
	argv := []string{"zypper", "", "a\nb", "it's", "--plus-repo=https://u:p@h/x", "pass\xff\xfe"}
	want := `'zypper' '' 'a b' 'it's' '--plus-repo=https://***@h/x' 'pass` + "\uFFFD'"
	if got := QuoteCommand(argv); got != want {
		t.Errorf("QuoteCommand = %s, want %s", got, want)
	}
	argv[4] = Redact(argv[4])
	if got := QuoteCommand(argv); got != want {
		t.Errorf("QuoteCommand of redacted arguments = %s, want %s", got, want)
	}
	if got := QuoteCommand(nil); got != "" {
		t.Errorf("QuoteCommand(nil) = %q, want nothing", got)
	}
}

// FuzzRecord writes what was parsed as libzypp would, and checks that parsing it gives the same.
func FuzzRecord(f *testing.F) {
	files, err := filepath.Glob("testdata/*.history")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f.Add(strings.TrimSuffix(line, "\n"))
		}
	}
	f.Add(`2026-11-23 06:37:21|frob   |a\|b|c|`)
	f.Add(`2026-11-23 06:37:21|rurl   |a\|b|c\'|\\|x`)
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ParseRecord(line)
		if err != nil {
			return
		}
		again, err := ParseRecord(writeRecord(r))
		if err != nil {
			t.Fatalf("%q: %v", writeRecord(r), err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Error(diff)
		}
	})
}

// writeRecord writes a record as libzypp's HistoryLog does.
func writeRecord(r Record) string {
	fields := []string{r.Time, string(r.Action)}
	cols, _ := r.columns()
	escape := strings.NewReplacer(`\`, `\\`, `|`, `\|`, `'`, `\'`, `"`, `\"`)
	for _, c := range cols {
		if c.escaped {
			fields = append(fields, escape.Replace(*c.dest))
		} else {
			fields = append(fields, *c.dest)
		}
	}
	if r.Rest != "" {
		fields = append(fields, r.Rest)
	}
	return strings.Join(fields, "|")
}

// rpm's name for a failed removal if all packages are in one transaction.
func TestUninstallFailed(t *testing.T) {
	want := Comment{Time: "2026-10-02 11:00:05", Package: "kernel-default", Failed: true, Removal: true}
	got, ok := ParseComment("# 2026-10-02 11:00:05 kernel-default uninstall failed")
	if !ok || got != want {
		t.Errorf("%+v, %t", got, ok)
	}
}
