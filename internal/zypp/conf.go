package zypp

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	defaultHistory  = "/var/log/zypp/history"
	disabledHistory = "/dev/null"
)

// historyPath is the path of the history below root, as zypp.conf has it.
func historyPath(root string) (string, error) {
	text, err := readConf(root)
	if err != nil {
		return "", err
	}
	name := confValue(text, "main", "history.logfile")
	if name == "" {
		return defaultHistory, nil
	}
	return path.Clean("/" + name), nil
}

// readConf returns the text of zypp.conf: the administrator's, else the vendor's, else nothing.
func readConf(root string) (string, error) {
	for _, name := range []string{"/etc/zypp/zypp.conf", "/usr/etc/zypp/zypp.conf"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return string(text), err
		}
	}
	return "", nil
}

// confValue finds a key in an INI file as libzypp reads it: the last one counts.
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
