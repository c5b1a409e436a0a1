package zypp

import (
	"path"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/ini"
	"github.com/klp-audit/klp-audit/internal/rooted"
)

// Repository is one that libzypp knows.
type Repository struct {
	Alias   string
	File    string // the file that describes it
	Enabled bool
	Cache   string // folder of its metadata since the last refresh; it may not exist
	options *ini.File
}

// boolean is one of its settings; nil: not set.
func (r *Repository) boolean(key string) *bool { return boolean(r.options.Get(r.Alias, key)) }

// Repositories reads which repositories libzypp knows, in the order of their files.
func Repositories(root string) ([]Repository, error) {
	conf, err := readConf(root)
	if err != nil {
		return nil, err
	}
	return repositories(root, conf)
}

func repositories(root string, conf *ini.File) (list []Repository, err error) {
	folder := confPath(conf, "reposdir", "/etc/zypp/repos.d")
	cache := confPath(conf, "metadatadir", confPath(conf, "cachedir", "/var/cache/zypp")+"/raw")
	entries, err := rooted.ReadDir(root, folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".repo") {
			continue
		}
		file := path.Join(folder, e.Name())
		text, err := rooted.ReadFile(root, file)
		if err != nil {
			return nil, err
		}
		repos := ini.Parse(strings.ToValidUTF8(text, "\uFFFD"))
		for _, alias := range repos.Sections() { // each is a section; the first one with an alias counts
			if slices.ContainsFunc(list, func(r Repository) bool { return r.Alias == alias }) {
				continue
			}
			r := Repository{Alias: alias, File: file, options: repos}
			r.Enabled = orDefault(r.boolean("enabled"), true)
			// RepoInfo::escaped_alias.
			r.Cache = path.Join(cache, strings.ReplaceAll(alias, "/", "_"))
			list = append(list, r)
		}
	}
	return list, nil
}
