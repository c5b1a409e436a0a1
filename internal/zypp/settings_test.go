package zypp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/internal/rooted/rootedtest"
	"github.com/klp-audit/klp-audit/record"
)

func TestGPGCheck(t *testing.T) {
	const conf, repo = "etc/zypp/zypp.conf", "etc/zypp/repos.d/a.repo"
	repos := func(r ...record.RepoSignatures) []record.RepoSignatures {
		for i := range r {
			r[i].Alias, r[i].File = "a", "/"+repo
		}
		return append([]record.RepoSignatures{}, r...)
	}
	for name, tt := range map[string]struct {
		files map[string]string
		want  record.Signatures
		err   string
	}{
		"defaults": {
			files: map[string]string{repo: "[a]\nenabled=1\n", "etc/zypp/repos.d/a.repo.rpmsave": "[b]"},
			want:  record.Signatures{GPGCheck: true, Repos: repos(record.RepoSignatures{GPGCheck: true, RepoGPGCheck: true, PkgGPGCheck: "unless-repo-signed"})},
		},
		"all off": {
			files: map[string]string{conf: "[main]\n# gpgcheck = on\ngpgcheck = off\n", repo: "[a]\n"},
			want:  record.Signatures{Repos: repos(record.RepoSignatures{PkgGPGCheck: "no"})},
		},
		"the repository decides": {
			files: map[string]string{conf: "[main]\ngpgcheck = off\n", repo: "[a]\ngpgcheck=yes\nrepo_gpgcheck=0\npkg_gpgcheck=1\n"},
			want:  record.Signatures{Repos: repos(record.RepoSignatures{GPGCheck: true, PkgGPGCheck: "always"})},
		},
		"parts switched off": {
			files: map[string]string{conf: "[main]\nrepo_gpgcheck = 0\npkg_gpgcheck = no\n", repo: "[a]\n"},
			want:  record.Signatures{GPGCheck: true, RepoGPGCheck: new(false), PkgGPGCheck: new(false), Repos: repos(record.RepoSignatures{GPGCheck: true, PkgGPGCheck: "no"})},
		},
		"fragments": {
			files: map[string]string{
				"usr/etc/zypp/zypp.conf": "[main]\ngpgcheck = on\n", "usr/etc/zypp/zypp.conf.d/1.conf": "[main]\ngpgcheck = off\n",
				"etc/zypp/zypp.conf.d/2.conf": "gpgcheck = on\n[main]\npkg_gpgcheck = 2\n", repo: "[b]\nenabled=0\n[a]\nenabled=maybe\n[a]\n",
			},
			want: record.Signatures{PkgGPGCheck: new(true), Repos: repos(record.RepoSignatures{PkgGPGCheck: "always"})},
		},
		"another folder": {
			files: map[string]string{conf: "[main]\nreposdir = /srv\n", "srv/b.repo": "[b]\n"},
			want:  record.Signatures{GPGCheck: true, Repos: []record.RepoSignatures{{Alias: "b", File: "/srv/b.repo", GPGCheck: true, RepoGPGCheck: true, PkgGPGCheck: "unless-repo-signed"}}},
		},
		"no folder":       {files: map[string]string{conf: ""}, err: "repos.d: no such file"},
		"no libzypp":      {err: "this system has no zypp.conf"},
		"conf is none":    {files: map[string]string{conf + "/x": ""}, err: "not a regular file"},
		"repo is none":    {files: map[string]string{repo + "/x": ""}, err: "not a regular file"},
		"fragment folder": {files: map[string]string{conf: "", "etc/zypp/zypp.conf.d": ""}, err: "not a directory"},
		"fragment":        {files: map[string]string{conf: "", "etc/zypp/zypp.conf.d/1.conf/x": ""}, err: "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := GPGCheck(rootedtest.Tree(t, tt.files))
			rootedtest.Want(t, got, err, tt.want, tt.err)
		})
	}
}

func TestPendingReboot(t *testing.T) {
	when := time.Date(2026, 5, 13, 9, 34, 13, 0, time.UTC)
	for name, tt := range map[string]struct {
		files map[string]string
		want  Reboot
		err   string
	}{
		"none":          {files: map[string]string{"run/x": ""}},
		"libzypp's":     {files: map[string]string{"run/reboot-needed": ""}, want: Reboot{Needed: true, File: "/run/reboot-needed", Since: &when}},
		"boot plugin's": {files: map[string]string{"run/reboot-needed": "kexec\n"}, want: Reboot{true, "kexec", "/run/reboot-needed", &when}},
		"older": {
			files: map[string]string{"run/x": "", "var/run/reboot-needed": "reboot"},
			want:  Reboot{true, "reboot", "/var/run/reboot-needed", &when},
		},
		"another's": {
			files: map[string]string{"run/reboot-needed": "\x1b] needed by a script\n"},
			want:  Reboot{Needed: true, File: "/run/reboot-needed", Since: &when},
		},
		"too large to read": {
			files: map[string]string{"run/reboot-needed": strings.Repeat("x", 64<<20)},
			want:  Reboot{Needed: true, File: "/run/reboot-needed", Since: &when},
		},
		"no /run":  {err: "run: no such file"},
		"a folder": {files: map[string]string{"run/reboot-needed/x": ""}, want: Reboot{Needed: true, File: "/run/reboot-needed", Since: &when}},
	} {
		t.Run(name, func(t *testing.T) {
			root := rootedtest.Tree(t, tt.files)
			for _, file := range []string{"run", "var/run"} {
				_ = os.Chtimes(filepath.Join(root, file, "reboot-needed"), when, when) // one of them exists
			}
			got, err := PendingReboot(root)
			rootedtest.Want(t, got, err, tt.want, tt.err)
		})
	}
}
