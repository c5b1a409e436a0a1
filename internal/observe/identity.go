package observe

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/record"
)

// System reads which operating system this is.
func System(root string) (record.System, error) {
	var id record.System
	var err error
	if id.PrettyName, err = prettyName(root); err != nil {
		return record.System{}, err
	}
	m, err := snapshot.RootMount(root)
	if err != nil {
		return record.System{}, err
	}
	id.RootSubvolume, id.ReadOnlyRoot = m.Subvolume, m.ReadOnly
	if n := record.SnapshotNumber(m.Subvolume); n > 0 {
		id.Snapshot = new(int(n))
	}
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
