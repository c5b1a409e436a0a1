package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
)

func (a *app) bootsCommand() *cobra.Command {
	var dir, boot, format string
	cmd := &cobra.Command{
		Use:   "boots",
		Short: "Print the boots in a journal and the live patches they loaded",
		Long: `Print the boots that the systemd journal holds: which kernel ran, which live patches were
loaded, in the initrd or after it and by which rule that is known, and which initrd images
were built. No record is needed. klp-audit report timeline boots prints those on record.`,
		Example: `  klp-audit boots
  klp-audit boots --journal /mnt/var/log/journal --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			journal, err := observe.Boots(cmd.Context(), dir, boot)
			if err != nil {
				return err
			}
			return a.print(&report.Boots{Journal: journal}, format)
		},
	}
	cmd.Flags().StringVar(&dir, "journal", "", "read the journal in `DIR` instead of the system's")
	cmd.Flags().StringVar(&boot, "boot", "", "only the boot with this `ID`")
	enumFlag(cmd, &format, "format", "print as `FORMAT`", report.Formats(&report.Boots{}))
	return cmd
}

// initrdFlags are the flags of initrd.
type initrdFlags struct {
	observe.JournalQuestion
	image   string
	explain bool
	format  string
}

func (a *app) initrdCommand() *cobra.Command {
	var f initrdFlags
	cmd := &cobra.Command{
		Use:   "initrd",
		Short: "Say whether the initrd holds the live patch, and how that is known",
		Long: `Say whether the initrd that the next boot of a kernel uses holds the active live patch, so
that an unexpected reboot keeps its fixes; proven by the systemd journal, or by the image
itself where the journal cannot decide. What cannot be proven is unknown.

With --journal only that journal is looked at, nothing of this machine.`,
		Example: `  klp-audit initrd --explain
  klp-audit initrd --journal /mnt/var/log/journal --format json
  klp-audit initrd --image /boot/initrd-6.4.0-150600.23.42-default`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := a.initrd(cmd, &f)
			if err != nil {
				return err
			}
			return a.print(&report.InitrdVerdict{Initrd: v, Explain: f.explain}, f.format)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Dir, "journal", "", "look at the journal in `DIR` alone")
	flags.StringVar(&f.Boot, "boot", "", "as at the end of the boot with this `ID` (the last one)")
	flags.StringVar(&f.Kernel, "kernel", "", "the initrd of this kernel `RELEASE` (the one that ran)")
	flags.StringVar(&f.Patch, "patch", "", "look for this `MODULE` (the active one)")
	flags.StringVar(&f.image, "image", "", "read the image `FILE`, whatever the journal says")
	flags.BoolVar(&f.explain, "explain", false, "print the evidence, in order")
	enumFlag(cmd, &f.format, "format", "print as `FORMAT`", report.Formats(&report.InitrdVerdict{}))
	return cmd
}

func (a *app) initrd(cmd *cobra.Command, f *initrdFlags) (record.Initrd, error) {
	switch {
	case f.Dir != "" && f.image != "":
		return record.Initrd{}, usageError{fmt.Errorf("--journal looks at nothing but a journal: leave --image out")}
	case f.Dir != "":
		return observe.JudgeJournal(cmd.Context(), f.JournalQuestion)
	}
	return observe.JudgeMachine(cmd.Context(), a.root, observe.MachineQuestion{
		Boot: f.Boot, Kernel: f.Kernel, Patch: f.Patch, Image: f.image,
	})
}

// dracutLogCommand is what klp-audit's dracut module calls while an image is built.
func (a *app) dracutLogCommand() *cobra.Command {
	var build observe.ImageBuild
	var written bool
	cmd := &cobra.Command{
		Use:    "dracut-log",
		Short:  "Write to the journal which live patches an initrd packs, or that it was written",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if written {
				return build.LogWritten()
			}
			return build.LogPacked()
		},
	}
	cmd.Flags().StringVar(&build.InitDir, "initdir", "", "the `DIR` that dracut packs")
	cmd.Flags().StringVar(&build.Kernel, "kernel", "", "the kernel `RELEASE`")
	cmd.Flags().StringVar(&build.Image, "image", "", "the image `FILE` that is built")
	cmd.Flags().StringVar(&build.Drivers, "drivers", "", "the `NAMES` of drivers that dracut adds later")
	cmd.Flags().StringVar(&build.SysRoot, "sysroot", "", "where the root `DIR` that is packed is, unless it is /")
	cmd.Flags().BoolVar(&written, "written", false, "the build has ended")
	for _, name := range []string{"initdir", "kernel", "image"} {
		cmd.MarkFlagRequired(name)
	}
	return cmd
}
