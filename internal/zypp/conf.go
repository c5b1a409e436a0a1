package zypp

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/ini"
	"github.com/klp-audit/klp-audit/internal/rooted"
)

const (
	defaultHistory  = "/var/log/zypp/history"
	disabledHistory = "/dev/null"
)

var errNoZypp = errors.New("this system has no zypp.conf, nor a folder /etc/zypp")

// historyPath is the path of the history below root, according to zypp.conf.
func historyPath(root string) (string, error) {
	conf, err := readConf(root)
	if err != nil && !errors.Is(err, errNoZypp) {
		return "", err
	}
	return confPath(conf, "history.logfile", defaultHistory), nil
}

// readConf reads zypp.conf and, as libzypp 17.38 does, the drop-in files in zypp.conf.d: later ones
// win. If the folder exists, a missing file counts as an empty one.
func readConf(root string) (*ini.File, error) {
	folders := []string{"/etc/zypp", "/run/zypp", "/usr/etc/zypp"} // the first one that has a file of this name wins
	conf, found := ini.Parse(""), false
	for _, folder := range folders {
		text, err := rooted.ReadFile(root, path.Join(folder, "zypp.conf"))
		if err == nil {
			conf.Add(text)
			found = true
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	for i := range folders {
		folders[i] += "/zypp.conf.d"
	}
	names, err := rooted.DropIns(root, ".conf", folders...)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := rooted.ReadFile(root, name)
		if err != nil {
			return nil, err
		}
		conf.Add(text)
		found = true
	}
	if found {
		return conf, nil
	}
	if _, err = rooted.Stat(root, "/etc/zypp"); errors.Is(err, fs.ErrNotExist) {
		err = errNoZypp
	}
	return conf, err
}

// confPath is a path in the configuration, or its default.
func confPath(conf *ini.File, key, standard string) string {
	if name := conf.Get("main", key); name != "" {
		return path.Clean("/" + name)
	}
	return standard
}

// boolean reads a boolean as libzypp does (str::strToTrue, str::strToFalse); nil for any other
// text, for which the default applies.
func boolean(text string) *bool {
	switch text = strings.ToLower(text); text {
	case "0", "no", "false", "off", "-":
		return new(false)
	case "1", "yes", "true", "on", "+":
		return new(true)
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return new(n != 0)
	}
	return nil
}

func orDefault(value *bool, standard bool) bool {
	if value == nil {
		return standard
	}
	return *value
}
