package zypp

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// GPGCheck reads which signatures are checked, by the rules of libzypp's
// RepoInfo::repoGpgCheckIsMandatory and pkgGpgCheckIsMandatory.
func GPGCheck(root string) (record.Signatures, error) {
	conf, err := readConf(root)
	if err != nil {
		return record.Signatures{}, err
	}
	s := record.Signatures{
		GPGCheck:     orDefault(boolean(conf.Get("main", "gpgcheck")), true),
		RepoGPGCheck: boolean(conf.Get("main", "repo_gpgcheck")),
		PkgGPGCheck:  boolean(conf.Get("main", "pkg_gpgcheck")),
		Repos:        []record.RepoSignatures{},
	}
	repos, err := repositories(root, conf)
	if err != nil {
		return record.Signatures{}, err
	}
	for _, r := range repos {
		if r.Enabled {
			s.Repos = append(s.Repos, r.signatures(&s))
		}
	}
	return s, nil
}

// signatures says what is checked for a repository, given these settings in zypp.conf.
func (repo *Repository) signatures(conf *record.Signatures) record.RepoSignatures {
	r := record.RepoSignatures{Alias: repo.Alias, File: repo.File, PkgGPGCheck: "no"}
	r.GPGCheck = orDefault(repo.boolean("gpgcheck"), conf.GPGCheck)
	meta, pkg := repo.boolean("repo_gpgcheck"), repo.boolean("pkg_gpgcheck")
	if meta == nil {
		meta = conf.RepoGPGCheck
	}
	if pkg == nil {
		pkg = conf.PkgGPGCheck
	}
	r.RepoGPGCheck = orDefault(meta, r.GPGCheck)
	switch {
	case orDefault(pkg, false):
		r.PkgGPGCheck = "always"
	case pkg == nil && r.GPGCheck:
		r.PkgGPGCheck = "unless-repo-signed"
	}
	return r
}

// Reboot says whether libzypp has asked for a reboot since the last one.
type Reboot struct {
	Needed bool       `json:"needed"`
	Hint   string     `json:"hint"` // soft-reboot, kexec, reboot; empty: the file does not say
	File   string     `json:"file"`
	Since  *time.Time `json:"since"` // when the file was last written
}

// PendingReboot looks for the file that libzypp makes after it installed something that needs a
// reboot. Its existence is the sign, whatever it is or contains; zypp-boot-plugin writes into it
// which kind of reboot is enough.
func PendingReboot(root string) (Reboot, error) {
	if _, err := rooted.Stat(root, "/run"); err != nil {
		return Reboot{}, err
	}
	for _, name := range []string{"/run/reboot-needed", "/var/run/reboot-needed"} {
		info, err := rooted.Stat(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Reboot{}, err
		}
		return Reboot{Needed: true, Hint: rebootHint(root, name), File: name, Since: new(info.ModTime().UTC())}, nil
	}
	return Reboot{}, nil
}

// rebootHint is the kind of reboot that is enough, empty if the file names no known kind.
func rebootHint(root, name string) string {
	text, err := rooted.ReadFile(root, name)
	text = strings.TrimSpace(text)
	if err != nil || !slices.Contains([]string{"soft-reboot", "kexec", "reboot"}, text) {
		return ""
	}
	return text
}
