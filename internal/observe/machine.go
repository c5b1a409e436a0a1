package observe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/klp-audit/klp-audit/internal/bootloader"
	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/verdict"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// MachineQuestion is the question for a verdict on this machine. Empty fields are determined: this
// boot, the running kernel, the active patch.
type MachineQuestion struct {
	Boot   string // boot id
	Kernel string // release
	Patch  string // module name
	Image  string // image file to read, whatever the journal says
}

// JudgeMachine decides whether the initrd that the next boot of a kernel uses contains a patch:
// from this machine's journal, and from the image if the journal cannot decide. An earlier boot is
// judged by the journal alone, because the image is today's.
func JudgeMachine(ctx context.Context, root string, q MachineQuestion) (record.Initrd, error) {
	now := store.NewHeader(record.KindObservation, root, "")
	if !isBoot(now.BootID, q.Boot) {
		return JudgeJournal(ctx, JournalQuestion{Boot: q.Boot, Kernel: q.Kernel, Patch: q.Patch})
	}
	running, err := runningKernel(root)
	if err != nil {
		return record.Initrd{}, err
	}
	question := verdict.Question{Kernel: q.Kernel, Patch: q.Patch}
	if question.Kernel == "" {
		question.Kernel = running
	}
	patches, err := livepatch.Loaded(root)
	if question.Patch == "" {
		if err != nil {
			return record.Initrd{}, fmt.Errorf("finding the active live patch: %w", err)
		}
		if p := livepatch.Active(patches); p != nil {
			question.Patch = p.Module
		}
	}
	question.Live = live(root, question.Kernel)
	if question.Kernel == running {
		question.Live.SrcVersion = srcVersion(patches, question.Patch)
	}
	question.Installed = installed(ctx, root, question)
	boots, journalErr := thisBoot(ctx, root, now.BootID)
	question.Boots = verdict.RunBy(running, boots)
	v := verdict.Judge(question)
	if journalErr != nil && question.Patch != "" {
		v.Evidence = append(v.Evidence, record.Evidence{Says: journalErr.Error()})
	}
	return verdict.JudgeImages(v, question, q.Image, func(path string) (*initrd.Image, error) { return readImage(ctx, path) }), nil
}

// thisBoot reads this boot from the machine's journal.
func thisBoot(ctx context.Context, root, id string) ([]journal.Boot, error) {
	if id == "" {
		return nil, errBootID // an empty one would ask for all boots
	}
	return journal.Boots(ctx, journalDir(root), journal.Query{Boot: id})
}

var errBootID = errors.New("the id of this boot is not known")

// isBoot says whether a boot id, its beginning, or an empty one names this boot.
func isBoot(this, asked string) bool {
	return strings.HasPrefix(this, strings.ReplaceAll(strings.ToLower(asked), "-", ""))
}

// journalDir is the journal directory of a machine; libsystemd finds the system's own.
func journalDir(root string) string {
	if filepath.Join("/", root) == "/" {
		return ""
	}
	return filepath.Join(root, "/var/log/journal")
}

// live is what the machine shows of the image that the next boot of a kernel uses: the image of its
// boot entry, else the one named after the kernel.
func live(root, kernel string) *verdict.Live {
	name := "/boot/initrd-" + kernel
	entry, err := bootloader.EntryOf(root, kernel)
	if err == nil && entry.Initrd != "" {
		name = entry.Initrd
	}
	l := &verdict.Live{Image: filepath.Join(root, name), Names: []string{name}, Others: bootloader.OtherImages(root, kernel)}
	l.BootTime, _ = bootTime(root) // zero: then any image may be newer
	if err == nil && entry.Initrd == "" {
		l.NoImage = fmt.Sprintf("the boot entry of kernel %s has no initrd (%s)", kernel, entry.Source)
		return l
	}
	resolved, errPath := rooted.Path(root, name)
	if errPath != nil {
		return l
	}
	if _, gone := os.Stat(resolved); errors.Is(gone, fs.ErrNotExist) && (err == nil || errors.Is(err, bootloader.ErrNoEntry) && hasKernel(root, kernel)) {
		l.NoImage = fmt.Sprintf("the image of kernel %s is not there", kernel)
		return l
	}
	if target, err := filepath.EvalSymlinks(resolved); err == nil && root == "/" {
		resolved = target
	}
	l.Image = resolved
	if inside, err := filepath.Rel(filepath.Join("/", root), resolved); err == nil {
		l.Names = append(l.Names, "/"+inside)
	}
	if info, err := os.Lstat(l.Image); err == nil {
		l.ImageTime, l.ModTime, l.Size = written(info), info.ModTime(), info.Size()
	}
	return l
}

// hasKernel says whether the file of a kernel is in /boot.
func hasKernel(root, kernel string) bool {
	return slices.ContainsFunc([]string{"vmlinuz", "image", "vmlinux", "Image"}, func(name string) bool {
		_, err := rooted.Stat(root, "/boot/"+name+"-"+kernel)
		return err == nil
	})
}

func srcVersion(patches []record.LoadedPatch, module string) string {
	for _, p := range patches {
		if p.Module == module {
			return p.SrcVersion
		}
	}
	return ""
}

// installed is when the package with the patch was installed, zero if rpm does not say.
func installed(ctx context.Context, root string, q verdict.Question) time.Time {
	pkgs, err := rpm.DB{Root: root}.Installed(ctx, func(name string) bool { return livepatch.KindOf(name) == record.PackageLivepatch })
	if err != nil {
		return time.Time{}
	}
	if p := verdict.PackageOf(pkgs, q.Kernel, q.Patch); p != nil {
		return time.Unix(p.InstallTime, 0)
	}
	return time.Time{}
}

// written is when a file became what it is: a copy may keep the time of its original, but it cannot
// hide when its inode changed.
func written(info os.FileInfo) time.Time {
	changed := time.Time{}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		changed = time.Unix(stat.Ctim.Unix())
	}
	if changed.After(info.ModTime()) {
		return changed
	}
	return info.ModTime()
}

// readImage reads an image, if there is still time.
func readImage(ctx context.Context, path string) (*initrd.Image, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("there was no time to read the image %q", path)
	}
	return initrd.Read(ctx, path)
}
