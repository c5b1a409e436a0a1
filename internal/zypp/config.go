package zypp

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

const noConf = "no zypp.conf, nor a folder /etc/zypp"

var errNoZypp = errors.New("this system has " + noConf)

// wholeConf is the text of zypp.conf and, as libzypp 17.38 reads them, of the fragments in
// zypp.conf.d: what comes later counts.
func wholeConf(root string) (string, error) {
	text, err := vendorOrAdmin(root)
	if err != nil {
		return "", err
	}
	names, err := rooted.DropIns(root, ".conf", "/etc/zypp/zypp.conf.d", "/usr/etc/zypp/zypp.conf.d")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		more, err := rooted.ReadFile(root, name)
		if err != nil {
			return "", err
		}
		text += "\n[]\n" + more
	}
	return text, nil
}

// vendorOrAdmin is the text of the administrator's zypp.conf, else of the vendor's. None is
// the same as an empty one where there is a folder for it.
func vendorOrAdmin(root string) (string, error) {
	for _, name := range []string{"/etc/zypp/zypp.conf", "/usr/etc/zypp/zypp.conf"} {
		text, err := rooted.ReadFile(root, name)
		if !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
	}
	_, err := rooted.Stat(root, "/etc/zypp")
	if errors.Is(err, fs.ErrNotExist) {
		return "", errNoZypp
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
