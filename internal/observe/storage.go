package observe

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// Storage says where the journal is kept, see Storage= in journald.conf(5).
type Storage struct {
	Setting string `json:"setting"` // auto, persistent, volatile, none
	File    string `json:"file"`    // that sets it; empty: the default
	// Kept is what follows: persistent (over reboots), volatile, or none.
	Kept string `json:"kept"`
	// Persistent and Volatile say whether this machine has a journal there.
	Persistent bool `json:"persistent"` // /var/log/journal/MACHINE-ID
	Volatile   bool `json:"volatile"`   // /run/log/journal/MACHINE-ID
}

// JournalStorage reads where the journal is kept.
func JournalStorage(root string) (Storage, error) {
	s := Storage{Setting: "auto"}
	id, err := rooted.ReadFile(root, "/etc/machine-id")
	if err != nil {
		return Storage{}, err
	}
	if id = strings.TrimSpace(id); len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return Storage{}, fmt.Errorf("parsing %q: %.100q is no machine id", "/etc/machine-id", id)
	}
	if err := s.readSetting(root); err != nil {
		return Storage{}, err
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

// readSetting reads journald.conf, the first of its places, and the fragments beside it.
func (s *Storage) readSetting(root string) error {
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
		if err := s.take(name, text); err != nil {
			return err
		}
	}
	return nil
}

func (s *Storage) take(name, text string) error {
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
