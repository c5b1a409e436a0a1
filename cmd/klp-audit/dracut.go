package main

import (
	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/observe"
)

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
