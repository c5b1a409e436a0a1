package observe

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

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
	running, err := runningKernel(root)
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
	boots, journalErr := journal.Boots(ctx, journalDir(root), journal.Query{Boot: now.BootID})
	question.Boots = boots
	v := Judge(question)
	if journalErr != nil && question.Patch != "" {
		v.Evidence = append(v.Evidence, store.Evidence{Says: journalErr.Error()})
	}
	return readImage(ctx, v, question, q.Image), nil
}

// journalDir is where the journal of a machine is: its own is found by libsystemd.
func journalDir(root string) string {
	if filepath.Join("/", root) == "/" {
		return ""
	}
	return filepath.Join(root, "/var/log/journal")
}

// live is what the machine shows of the image that the next boot of a kernel uses.
func live(root, kernel string) *Live {
	l := &Live{Image: filepath.Join(root, "/boot/initrd-"+kernel)}
	l.BootTime, _ = bootTime(root) // zero: then any image may be newer
	if resolved, err := filepath.EvalSymlinks(l.Image); err == nil {
		l.Image = resolved
	}
	if info, err := os.Stat(l.Image); err == nil {
		l.ImageTime = info.ModTime()
	}
	return l
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
	if p := packageOf(pkgs, q.Kernel, q.Patch); p != nil {
		return time.Unix(p.InstallTime, 0)
	}
	return time.Time{}
}

// packageOf is the installed package that brings a module for a kernel, nil if none does.
func packageOf(pkgs []rpm.Package, kernel, module string) *rpm.Package {
	for i, p := range pkgs {
		release, ok := livepatch.KernelFor(p.Name)
		if ok && release == kernel && livepatch.Module(p.Name, p.EVR.Version, p.EVR.Release) == module {
			return &pkgs[i]
		}
	}
	return nil
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
