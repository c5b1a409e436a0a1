package observe

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// JournalStorage reads where the journal is stored.
func JournalStorage(root string) (record.JournalStorage, error) {
	s := record.JournalStorage{Setting: "auto"}
	id, err := rooted.ReadFile(root, "/etc/machine-id")
	if err != nil {
		return record.JournalStorage{}, err
	}
	if id = strings.TrimSpace(id); len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return record.JournalStorage{}, fmt.Errorf("parsing %q: %.100q is not a machine id", "/etc/machine-id", id)
	}
	if err := readSetting(&s, root); err != nil {
		return record.JournalStorage{}, err
	}
	var folder bool
	var errs [3]error
	folder, errs[0] = isThere(root, "/var/log/journal")
	s.Persistent, errs[1] = isThere(root, "/var/log/journal/"+id)
	s.Volatile, errs[2] = isThere(root, "/run/log/journal/"+id)
	s.Kept = s.Setting
	if s.Setting == "auto" {
		s.Kept = "volatile"
		if folder {
			s.Kept = "persistent"
		}
	}
	return s, errors.Join(errs[:]...)
}

func isThere(root, name string) (bool, error) {
	_, err := rooted.Stat(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// readSetting reads journald.conf from the first place that has it, and its drop-in files.
func readSetting(s *record.JournalStorage, root string) error {
	var files, folders []string
	for _, place := range []string{"/etc", "/run", "/usr/local/lib", "/usr/lib"} {
		conf := path.Join(place, "systemd/journald.conf")
		there, err := isThere(root, conf)
		if err != nil {
			return err
		}
		if there && len(files) == 0 {
			files = append(files, conf)
		}
		folders = append(folders, conf+".d")
	}
	fragments, err := rooted.DropIns(root, ".conf", folders...)
	if err != nil {
		return err
	}
	for _, name := range append(files, fragments...) {
		text, err := rooted.ReadFile(root, name)
		if err != nil {
			return err
		}
		if err := takeSetting(s, name, text); err != nil {
			return err
		}
	}
	return nil
}

// takeSetting reads a file's settings: the last one counts. A value that journald would not accept
// makes the setting unknown, so each line is checked, not only the last one.
func takeSetting(s *record.JournalStorage, name, text string) error {
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		key, value, _ := strings.Cut(line, "=")
		if section != "[Journal]" || strings.TrimSpace(key) != "Storage" {
			continue
		}
		switch value = strings.TrimSpace(value); value {
		case "auto", "persistent", "volatile", "none":
			s.Setting, s.File = value, name
		default:
			return fmt.Errorf("parsing %q: unknown Storage %.100q", name, value)
		}
	}
	return nil
}
