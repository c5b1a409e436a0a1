package bootloader

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/internal/snapshot"
)

// snapshotInfo is what snapper stores about a snapshot.
type snapshotInfo struct {
	Description string `xml:"description"`
	UserData    []struct {
		Key   string `xml:"key"`
		Value string `xml:"value"`
	} `xml:"userdata"`
}

// otherSnapshots are the trees that the next boot may run instead of the running one: those with a
// later number, made by transactional-update or a rollback. A service has no right to ask which
// subvolume is the default of the file system. Entries of the Boot Loader Specification name their
// snapshot themselves.
func otherSnapshots(root string) (trees []string, err error) {
	const folder = "/.snapshots"
	running, err := snapshot.Subvolume(root)
	_, number, ok := strings.Cut(strings.TrimSuffix(running, "/snapshot"), folder+"/")
	loader, errLoader := loaderType(root)
	if err != nil || !ok || errLoader == nil && (loader == "systemd-boot" || loader == grubBLS) {
		return nil, nil
	}
	now, err := strconv.Atoi(number)
	if err != nil {
		return nil, nil
	}
	entries, err := rooted.ReadDir(root, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		n, errNumber := strconv.Atoi(e.Name())
		if errNumber != nil || n <= now {
			continue
		}
		may, errInfo := maybeBooted(root, path.Join(folder, e.Name(), "info.xml"))
		if may || errInfo != nil {
			trees = append(trees, path.Join(folder, e.Name(), "snapshot"))
		}
	}
	if err != nil {
		err = fmt.Errorf("another snapshot may be booted next: %w", err)
	}
	return trees, err
}

// maybeBooted says whether a snapshot was made to be booted, and is ready.
func maybeBooted(root, file string) (bool, error) {
	text, err := rooted.ReadFile(root, file)
	if err != nil {
		return false, err
	}
	var info snapshotInfo
	if err := xml.Unmarshal([]byte(text), &info); err != nil {
		return false, err
	}
	for _, u := range info.UserData {
		if u.Key == "transactional-update-in-progress" && u.Value == "yes" {
			return false, nil
		}
	}
	return strings.HasPrefix(info.Description, "Snapshot Update of #") || strings.HasPrefix(info.Description, "writable copy of #"), nil
}

// OtherImages returns a kernel's images in the trees of snapshots that the next boot may run
// instead of the running one.
func OtherImages(root, kernel string) (images []string) {
	trees, err := otherSnapshots(root)
	if err != nil {
		trees = append(trees, "/.snapshots")
	}
	for _, tree := range trees {
		tree = filepath.Join(cmp.Or(root, "/"), tree)
		image, err := rooted.Path(tree, "/boot/initrd-"+kernel)
		if err != nil {
			image = path.Join(tree, "boot/initrd-"+kernel)
		}
		images = append(images, image)
	}
	return images
}
