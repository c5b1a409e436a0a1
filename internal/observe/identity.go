package observe

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/internal/snapshot"
)

// Identity is what system this is.
type Identity struct {
	PrettyName string `json:"pretty_name"` // of os-release
	// Transactional: the root is read only, and transactional-update changes it.
	Transactional bool `json:"transactional"`
	ReadOnlyRoot  bool `json:"read_only_root"`
	// RootSubvolume is where the root directory is within its file system. When it is
	// another one than before, the system was rolled back or updated transactionally.
	RootSubvolume string `json:"root_subvolume"`
	Snapshot      *int   `json:"snapshot"` // number of the root's snapshot; null: it is none
}

// System reads what system this is.
func System(root string) (Identity, error) {
	var id Identity
	var err error
	if id.PrettyName, err = prettyName(root); err != nil {
		return Identity{}, err
	}
	m, err := snapshot.RootMount(root)
	if err != nil {
		return Identity{}, err
	}
	id.RootSubvolume, id.ReadOnlyRoot, id.Snapshot = m.Subvolume, m.ReadOnly, snapshotNumber(m.Subvolume)
	tool, err := isThere(root, "/usr/sbin/transactional-update")
	id.Transactional = id.ReadOnlyRoot && tool
	return id, err
}

// prettyName reads os-release(5).
func prettyName(root string) (string, error) {
	text, err := rooted.ReadFile(root, "/etc/os-release")
	if errors.Is(err, fs.ErrNotExist) {
		text, err = rooted.ReadFile(root, "/usr/lib/os-release")
	}
	if err != nil {
		return "", err
	}
	name := ""
	for line := range strings.Lines(strings.ToValidUTF8(text, "\uFFFD")) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			name = strings.NewReplacer(`\"`, `"`, `\$`, `$`, "\\`", "`", `\\`, `\`).Replace(strings.Trim(value, `"'`))
		}
	}
	if name == "" {
		return "", errors.New("parsing os-release: it has no PRETTY_NAME")
	}
	return name, nil
}

// snapshotNumber is the number of the snapshot that a subvolume is; nil if it is none.
func snapshotNumber(subvolume string) *int {
	_, rest, _ := strings.Cut(subvolume, "/.snapshots/")
	number, _, _ := strings.Cut(rest, "/")
	if n, err := strconv.Atoi(number); err == nil && n >= 0 {
		return &n
	}
	return nil
}
