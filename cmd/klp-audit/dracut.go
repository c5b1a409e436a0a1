package main

import (
	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/internal/observe"
)

// dracutLogCommand is what klp-audit's dracut module calls while an image is built.
func (a *app) dracutLogCommand() *cobra.Command {
	var initdir, kernel, image, drivers string
	cmd := &cobra.Command{
		Use:    "dracut-log",
		Short:  "Write to the journal which live patches an initrd packs",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			modules, err := initrd.InDir(initdir, kernel)
			if err != nil {
				return err
			}
			return observe.LogBuild(kernel, image, modules, drivers)
		},
	}
	cmd.Flags().StringVar(&initdir, "initdir", "", "the `DIR` that dracut packs")
	cmd.Flags().StringVar(&kernel, "kernel", "", "the kernel `RELEASE`")
	cmd.Flags().StringVar(&image, "image", "", "the image `FILE` that is built")
	cmd.Flags().StringVar(&drivers, "drivers", "", "the `NAMES` of drivers that dracut adds later")
	for _, name := range []string{"initdir", "kernel", "image"} {
		cmd.MarkFlagRequired(name)
	}
	return cmd
}
