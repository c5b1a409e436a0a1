package observe

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/store"
)

// MachineQuestion says what a verdict on this machine is asked about. Empty fields are
// found out: this boot, the running kernel, the active patch.
type MachineQuestion struct {
	Boot   string // boot id
	Kernel string // release
	Patch  string // module name
	Image  string // image file to read, whatever the journal says
}

// JudgeMachine decides whether the initrd that the next boot of a kernel uses holds a
// patch: from this machine's journal, and from the image where the journal cannot decide.
// An earlier boot is judged by the journal alone, for the image is today's.
func JudgeMachine(ctx context.Context, root string, q MachineQuestion) (store.Initrd, error) {
	now := store.NewHeader(store.KindObservation, root, "")
	if q.Boot != "" && q.Boot != now.BootID {
		return JudgeJournal(ctx, JournalQuestion{Boot: q.Boot, Kernel: q.Kernel, Patch: q.Patch})
	}
	running, err := runningKernel()
	if err != nil {
		return store.Initrd{}, err
	}
	question := Question{Kernel: q.Kernel, Patch: q.Patch}
	if question.Kernel == "" {
		question.Kernel = running
	}
	patches, err := livepatch.Loaded(root)
	if question.Patch == "" {
		if err != nil {
			return store.Initrd{}, fmt.Errorf("finding the active live patch: %w", err)
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
	boots, journalErr := journal.Boots(ctx, "", journal.Query{Boot: now.BootID})
	question.Boots = boots
	v := Judge(question)
	if journalErr != nil && question.Patch != "" {
		v.Evidence = append(v.Evidence, store.Evidence{Says: journalErr.Error()})
	}
	return readImage(ctx, v, question, q.Image), nil
}

func runningKernel() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("asking for the running kernel: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// live is what the machine shows of the image that the next boot of a kernel uses.
func live(root, kernel string) *Live {
	l := &Live{Image: filepath.Join(root, "/boot/initrd-"+kernel), BootTime: bootTime()}
	if resolved, err := filepath.EvalSymlinks(l.Image); err == nil {
		l.Image = resolved
	}
	if info, err := os.Stat(l.Image); err == nil {
		l.ImageTime = info.ModTime()
	}
	return l
}

// bootTime is when this machine was booted.
func bootTime() time.Time {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(ts.Nano()))
}

func srcVersion(patches []livepatch.Patch, module string) string {
	for _, p := range patches {
		if p.Module == module {
			return p.SrcVersion
		}
	}
	return ""
}

// installed is when the package with the patch was installed, zero if rpm does not say.
func installed(ctx context.Context, root string, q Question) time.Time {
	pkgs, err := rpm.DB{Root: root}.Installed(ctx, func(name string) bool { return livepatch.KindOf(name) == livepatch.KindLivepatch })
	if err != nil {
		return time.Time{}
	}
	for _, p := range pkgs {
		release, ok := livepatch.KernelFor(p.Name)
		if ok && release == q.Kernel && livepatch.Module(p.Name, p.EVR.Version, p.EVR.Release) == q.Patch {
			return time.Unix(p.InstallTime, 0)
		}
	}
	return time.Time{}
}

// readImage decides by the image where the journal could not, or where a file was named.
func readImage(ctx context.Context, v store.Initrd, q Question, named string) store.Initrd {
	path := named
	switch {
	case v.Patch == "", named == "" && v.Verdict != store.VerdictUnknown:
		return v
	case named == "":
		path = q.Live.Image
	}
	img, err := initrd.Read(ctx, path)
	return JudgeImage(v, img, err, q.Live.SrcVersion)
}
