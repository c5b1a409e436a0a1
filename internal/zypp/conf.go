package zypp

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

const (
	defaultHistory  = "/var/log/zypp/history"
	disabledHistory = "/dev/null"
)

var errNoZypp = errors.New("this system has no zypp.conf, nor a folder /etc/zypp")

// historyPath is the path of the history below root, as zypp.conf has it.
func historyPath(root string) (string, error) {
	conf, err := readConf(root)
	if err != nil && !errors.Is(err, errNoZypp) {
		return "", err
	}
	return confPath(conf, "history.logfile", defaultHistory), nil
}

// readConf is the text of zypp.conf and, as libzypp 17.38 reads them, of the fragments in
// zypp.conf.d: what comes later wins. None is the same as an empty one where there is a
// folder for it.
func readConf(root string) (string, error) {
	folders := []string{"/etc/zypp", "/run/zypp", "/usr/etc/zypp"} // the first that has a file of a name wins
	text, found := "", false
	for _, folder := range folders {
		main, err := rooted.ReadFile(root, path.Join(folder, "zypp.conf"))
		if err == nil {
			text, found = main, true
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	for i := range folders {
		folders[i] += "/zypp.conf.d"
	}
	names, err := rooted.DropIns(root, ".conf", folders...)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		more, err := rooted.ReadFile(root, name)
		if err != nil {
			return "", err
		}
		text, found = text+"\n[]\n"+more, true
	}
	if found {
		return text, nil
	}
	if _, err = rooted.Stat(root, "/etc/zypp"); errors.Is(err, fs.ErrNotExist) {
		err = errNoZypp
	}
	return "", err
}

// confPath is a path in the configuration, or what it is without.
func confPath(text, key, standard string) string {
	if name := confValue(text, "main", key); name != "" {
		return path.Clean("/" + name)
	}
	return standard
}

// confValue finds a key in an INI file as libzypp reads it: the last one wins.
func confValue(text, section, key string) string {
	current, value := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			current = strings.Trim(line, "[] \t")
			continue
		}
		k, v, _ := strings.Cut(line, "=")
		if current == section && strings.TrimSpace(k) == key {
			value = strings.TrimSpace(v)
		}
	}
	return value
}

// boolean reads a boolean as libzypp does (str::strToTrue, str::strToFalse); nil for a text
// that is none, which leaves the default.
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
