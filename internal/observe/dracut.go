package observe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	send "github.com/coreos/go-systemd/v22/journal"

	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/internal/snapshot"
)

// ImageBuild is what klp-audit's dracut module knows of the build that it runs in.
type ImageBuild struct {
	InitDir string // the folder that is packed, which belongs to this build alone
	Kernel  string // release
	Image   string
	Drivers string // those that dracut adds after its modules ran
	SysRoot string // root file system that is packed, if given; or dracut's own
}

// LogPacked writes to the journal which live patch modules a build packs: one entry for each, or
// one that says there are none. If one of the drivers is a live patch, the list would be
// incomplete, so it writes nothing. Without a journal it does nothing.
func (b ImageBuild) LogPacked() error {
	if !send.Enabled() || namesLivePatch(b.Drivers) {
		return nil
	}
	modules, err := initrd.InDir(b.InitDir, b.Kernel)
	if err != nil {
		return err
	}
	if len(modules) == 0 {
		return b.log(journal.BuildMessageID, "initrd for "+b.Kernel+" contains no live patch", nil)
	}
	var errs []error
	for _, m := range modules {
		text := fmt.Sprintf("initrd for %s contains live patch %s", b.Kernel, m.File)
		errs = append(errs, b.log(journal.BuildMessageID, text, map[string]string{
			"KLP_MODULE": m.File, "KLP_SRCVERSION": m.SrcVersion, "KLP_SHA256": m.SHA256, "KLP_COUNT": strconv.Itoa(len(modules)),
		}))
	}
	return errors.Join(errs...)
}

// LogWritten writes to the journal that the image was written, if it was: dracut may succeed
// without writing it, and leave an older file.
func (b ImageBuild) LogWritten() error {
	packed, err := os.Stat(filepath.Join(filepath.Dir(b.InitDir), "initramfs.img"))
	if err != nil || !send.Enabled() {
		return err
	}
	image, err := os.Stat(b.Image)
	if err != nil {
		return err
	}
	if image.Size() != packed.Size() || written(image).Before(packed.ModTime()) {
		return fmt.Errorf("image %q is not that of this build", b.Image)
	}
	return b.log(journal.WrittenMessageID, "initrd for "+b.Kernel+" written to "+b.Image, map[string]string{
		"KLP_SIZE": strconv.FormatInt(image.Size(), 10), "KLP_TIME": strconv.FormatInt(image.ModTime().UnixMicro(), 10),
	})
}

func (b ImageBuild) log(id, text string, fields map[string]string) error {
	subvolume, _ := snapshot.OwnSubvolume()
	all := map[string]string{
		"MESSAGE_ID": id, "SYSLOG_IDENTIFIER": "klp-audit", "KLP_KERNEL": b.Kernel, "KLP_IMAGE": b.Image,
		"KLP_BUILD": filepath.Base(filepath.Dir(b.InitDir)),
	}
	for _, more := range []map[string]string{fields, {"KLP_ROOT": b.root(), "KLP_SNAPSHOT": subvolume}} {
		for name, value := range more {
			if value != "" {
				all[name] = value
			}
		}
	}
	return send.Send(text, send.PriNotice, all)
}

// root says which root file system the build is for; the system's is that of process 1.
func (b ImageBuild) root() string {
	if b.SysRoot != "" && filepath.Clean(b.SysRoot) != journal.RootHere {
		return b.SysRoot
	}
	own, errOwn := os.Stat("/")
	system, errSystem := os.Stat("/proc/1/root")
	if errOwn != nil || errSystem != nil || !os.SameFile(own, system) {
		return journal.RootUnclear
	}
	return journal.RootHere
}

func namesLivePatch(drivers string) bool {
	return strings.Contains(drivers, "livepatch") || strings.Contains(drivers, "kgraft")
}
