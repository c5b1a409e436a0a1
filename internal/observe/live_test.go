package observe

import (
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/internal/verdict"
	"github.com/klp-audit/klp-audit/record"
)

// The image that matters is the one in the kernel's boot entry.
func TestImageOfTheBootEntry(t *testing.T) {
	const loader, entries = "boot/efi/loader/loader.conf", "boot/efi/loader/entries/"
	bls := func(snapshot, initrd string) string {
		return "version " + snapshot + "@" + oldKernel + "\nlinux /sles/linux-0\ninitrd /sles/" + initrd + "\noptions root=UUID=a rootflags=subvol=@/.snapshots/" + snapshot + "/snapshot\n"
	}
	mount := func(n string) string {
		return "1 0 0:1 /@/.snapshots/" + n + "/snapshot / rw shared:1 - btrfs /dev/vda2 rw\n"
	}
	esp := map[string]string{
		loader: "default b\n", "sys/firmware/efi/efivars/Other-1": "", entries + "a.conf": bls("7", "initrd-0123"), entries + "b.conf": bls("8", "initrd-4567"),
		"boot/efi/sles/initrd-0123": "7", "boot/efi/sles/initrd-4567": "8", "boot/initrd-" + oldKernel: "old", "proc/1/mountinfo": mount("7"),
	}
	menu := "set default=0\nmenuentry a {\nlinux /boot/vmlinuz-" + newKernel + "\ninitrd /boot/initrd-" + newKernel + "\n}\nmenuentry b {\nlinux /boot/vmlinuz-" + oldKernel + "\n}\n"
	full := strings.Replace(menu, oldKernel+"\n", oldKernel+"\ninitrd /boot/initrd-"+oldKernel+"\n", 1)
	for name, tt := range map[string]struct {
		files map[string]string
		image string
		none  string
	}{
		"the default's":             {esp, "/boot/efi/sles/initrd-4567", ""},
		"this snapshot's":           {with(esp, loader, "default c\n", entries+"c.conf", "version 1.2\nlinux /l\ninitrd /i\n"), "/boot/efi/sles/initrd-0123", ""},
		"it is gone":                {with(esp, "boot/efi/sles/initrd-4567", "-> nothing"), "", "is not there"},
		"GRUB's":                    {map[string]string{"boot/grub2/grub.cfg": full, "boot/initrd-" + oldKernel: "x"}, "/boot/initrd-" + oldKernel, ""},
		"GRUB's, gone":              {map[string]string{"boot/grub2/grub.cfg": full}, "", "is not there"},
		"an entry without":          {map[string]string{"boot/grub2/grub.cfg": menu}, "", "has no initrd"},
		"no entry, image there":     {map[string]string{"boot/grub2/grub.cfg": "set default=0\n", "boot/initrd-" + oldKernel: "x"}, "/boot/initrd-" + oldKernel, ""},
		"no entry, a kernel there":  {map[string]string{"boot/grub2/grub.cfg": "set default=0\n", "boot/vmlinuz-" + oldKernel: "x"}, "", "is not there"},
		"no entry, no kernel there": {map[string]string{"boot/grub2/grub.cfg": "set default=0\n"}, "", ""},
		"no boot loader":            {map[string]string{"boot/vmlinuz-" + oldKernel: "x"}, "", ""},
		"no boot loader, an image":  {map[string]string{"boot/initrd-" + oldKernel: "x"}, "/boot/initrd-" + oldKernel, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := machine(t, tt.files)
			l := live(root, oldKernel)
			image := ""
			if l.Size > 0 {
				image = strings.TrimPrefix(l.Image, root)
			}
			if image != tt.image || (l.NoImage == "") != (tt.none == "") || !strings.Contains(l.NoImage, tt.none) {
				t.Errorf("got %+v, want %q, %q", l, tt.image, tt.none)
			}
		})
	}
}

// As long as the next boot may use another snapshot, one image alone decides nothing.
func TestImageInAnotherSnapshot(t *testing.T) {
	const info = "<snapshot><description>Snapshot Update of #7</description></snapshot>"
	root := machine(t, map[string]string{
		"proc/1/mountinfo":         "1 0 0:1 /@/.snapshots/7/snapshot / rw shared:1 - btrfs /dev/vda2 rw\n",
		".snapshots/8/info.xml":    info,
		"boot/initrd-" + oldKernel: "x",
	})
	l := live(root, oldKernel)
	if v := verdict.Judge(verdict.Question{Kernel: oldKernel, Patch: "livepatch_2_150600_13_6_1", Live: l}); v.Reason != record.ReasonOtherSnapshot || len(l.Others) != 1 {
		t.Errorf("got %+v, %+v", v, l)
	}
}
