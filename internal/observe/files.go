package observe

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// ownFiles are klp-audit's files; a folder ending in * stands for everything in it. The content of
// the record changes and has its own proof; that of the key is secret.
var ownFiles = [...]struct {
	path   string
	digest bool
}{
	{"/usr/bin/klp-audit", true},
	{"/usr/lib/klp-audit/recorder", true},
	{"/usr/lib/zypp/plugins/commit/klp-audit", true},
	{"/usr/lib/zypp/plugins/system/klp-audit", true},
	{"/usr/lib/zypper/commands/zypper-klp-audit", true},
	{"/usr/lib/dracut/modules.d/99zz-klp-audit/module-setup.sh", true},
	{"/usr/lib/supportconfig/plugins/klp_audit", true},
	{"/usr/lib/systemd/system/klp-audit-observe.service", true},
	{"/usr/lib/systemd/system/klp-audit-observe.timer", true},
	{"/usr/lib/systemd/system/klp-audit-observe.path", true},
	{"/usr/lib/systemd/system/klp-audit-observe-daily.service", true},
	{"/usr/lib/systemd/system/klp-audit-observe-commit.service", true},
	{"/usr/lib/systemd/system/klp-audit-observe.service.d/hardening.conf", true},
	{"/usr/lib/systemd/system/klp-audit-observe-daily.service.d/hardening.conf", true},
	{"/usr/lib/systemd/system/klp-audit-observe-commit.service.d/hardening.conf", true},
	{"/usr/etc/klp-audit/klp-audit.toml", true},
	{"/etc/klp-audit/klp-audit.toml", true},
	{"/etc/klp-audit/klp-audit.toml.d/*", true},
	{"/var/lib/klp-audit", false},
	{"/var/lib/klp-audit/klp-audit.db", false},
	{"/var/lib/klp-audit/spool", false},
	{"/var/lib/klp-audit/key", false},
}

// OwnFiles describes klp-audit's own files, to show later who could have changed the record, and,
// by their digests, whether the program changed. Digests of the programs take a while. Links to
// folders are followed, links to files are described.
func OwnFiles(root string, digests bool) (record.OwnFiles, error) {
	files := record.OwnFiles{}
	for _, own := range ownFiles {
		names := []string{own.path}
		if folder, all := strings.CutSuffix(own.path, "/*"); all {
			entries, err := rooted.ReadDir(root, folder)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			names = nil
			for _, e := range entries {
				names = append(names, path.Join(folder, e.Name()))
			}
		}
		for _, name := range names {
			f, err := describe(root, name, digests && own.digest)
			if err != nil {
				return nil, err
			}
			files = append(files, f)
		}
	}
	return files, nil
}

func describe(root, name string, digest bool) (record.OwnFile, error) {
	f := record.OwnFile{Path: name}
	dir, err := rooted.Path(root, path.Dir(name))
	if err != nil {
		return f, err
	}
	at := path.Join(dir, path.Base(name))
	info, err := os.Lstat(at)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	f.There, f.Type, f.Mode = true, "other", fmt.Sprintf("%04o", info.Sys().(*syscall.Stat_t).Mode&0o7777)
	f.UID, f.GID = info.Sys().(*syscall.Stat_t).Uid, info.Sys().(*syscall.Stat_t).Gid
	switch {
	case info.IsDir():
		f.Type = "directory"
	case info.Mode()&fs.ModeSymlink != 0:
		f.Type = "link"
		f.Target, err = os.Readlink(at)
	case info.Mode().IsRegular():
		f.Type = "file"
		if digest {
			f.SHA256, err = fileSHA256(root, name)
		}
	}
	return f, err
}

// maxOwnFile is far more than the size of any program here.
const maxOwnFile = 1 << 28

func fileSHA256(root, name string) (string, error) {
	f, err := rooted.Open(root, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, maxOwnFile+1))
	if err == nil && n > maxOwnFile {
		err = fmt.Errorf("reading %q: %w", name, rooted.ErrTooLarge)
	}
	return hex.EncodeToString(h.Sum(nil)), err
}
