package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/initrd"
)

const (
	patched   = "6.4.0-150600.23.42-default" // a kernel with a live patch
	unpatched = "6.4.0-150600.23.47-default"
	patchFile = "livepatch-2-150600_13_6_1.ko"
	// standIn is the path of SUSE's module, which packs live patches; here it is the tests' own.
	standIn = "/usr/lib/dracut/modules.d/90kernel-livepatch/module-setup.sh"
	// initOnly is a dracut module that is packed only on request.
	initOnly = "/usr/lib/dracut/modules.d/90lab-init/module-setup.sh"
	built    = "MESSAGE_ID=6f1c0a4b6e0b4c6f9a7d4b6f1f0e9a11"
)

// TestDracut builds images with the real dracut of Debian 11, whose /usr is not merged, 12 and 13,
// and reads what they wrote to a real journal.
func TestDracut(t *testing.T) {
	bin, kernels := forDracut(t)
	for _, suite := range []string{"bullseye", "bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			d := &dracuts{kit: &kit{bin: bin, repo: t.TempDir()}, tree: dracutTree(t, suite), kernels: kernels}
			for _, s := range []struct {
				name string
				tell func(*testing.T, *lab)
			}{
				{"a live patch", withLivePatch},
				{"no live patch", withoutLivePatch},
				{"a live patch among the drivers", withDriver},
				{"two kernels", withTwoKernels},
				{"no journal", withoutJournal},
				{"a program that hangs or fails", withBadProgram},
				{"every compression", withCompressions},
				{"initramfs-tools", withInitramfsTools},
			} {
				t.Run(s.name, func(t *testing.T) { s.tell(t, d.lab(t)) })
			}
		})
	}
}

// forDracut builds the program and the kernels that images are built with.
func forDracut(t *testing.T) (bin, kernels string) {
	t.Helper()
	if os.Getenv(wanted) != "1" {
		t.Skip("the end-to-end tests need root and the real dracut: run `make test`")
	}
	bin = t.TempDir()
	// Static, because the glibc of Debian 11 may be older than this machine's.
	execute(t, "go", "build", "-tags", "osusergo,netgo,sqlite_omit_load_extension", "-ldflags", "-linkmode external -extldflags -static", "-o", bin+"/", "../cmd/klp-audit")
	return bin, buildKernels(t)
}

type dracuts struct {
	kit           *kit
	tree, kernels string
}

// dracutTree is a system with dracut. The kernel modules are the tests' own, so no kernel is
// needed. Debian 11's /usr is not merged, as in SUSE Linux Enterprise 15; its packages are
// disappearing from the mirrors.
func dracutTree(t *testing.T, suite string) string {
	t.Helper()
	const packages = "binutils,bzip2,cpio,dracut-core,initramfs-tools-core,kmod,lz4,pigz,systemd,udev,xz-utils,zstd"
	if suite != "bullseye" {
		return debianTree(t, "dracut-"+suite, suite, packages)
	}
	if out, err := exec.Command("./tree.sh", "dracut-"+suite, suite, packages, "--no-merged-usr").CombinedOutput(); err != nil {
		t.Skipf("Debian 11 is not available: %v\n%s", err, out)
	}
	return cached("dracut-" + suite)
}

// buildKernels makes the module folders of two kernels, with modules from a real compiler.
func buildKernels(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, kernel := range []string{patched, unpatched} {
		folder := filepath.Join(dir, kernel)
		compileModule(t, folder+"/kernel/fs/lab.ko", "name=lab")
		for _, list := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
			writeFile(t, filepath.Join(folder, list), "")
		}
	}
	compileModule(t, filepath.Join(dir, patched, "livepatch", patchFile),
		"livepatch=Y", "name=livepatch_2_150600_13_6_1", "srcversion=0123456789ABCDEF0123456", "license=GPL", "depends=")
	return dir
}

func compileModule(t *testing.T, name string, info ...string) {
	t.Helper()
	var source strings.Builder
	for i, line := range info {
		fmt.Fprintf(&source, "static const char i%d[] __attribute__((section(\".modinfo\"), used)) = %q;\n", i, line)
	}
	source.WriteString("int init_module(void) { return 0; }\n")
	file := filepath.Join(t.TempDir(), "module.c")
	writeFile(t, file, source.String())
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	execute(t, "gcc", "-g", "-c", "-o", name, file)
}

// lab is a system with both kernels, klp-audit and its dracut module.
func (d *dracuts) lab(t *testing.T) *lab {
	t.Helper()
	l := mountLab(t, d.kit, d.tree, memory(t))
	l.mount("tmpfs", l.root+"/run", "tmpfs", 0, "mode=0755")
	l.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
	l.write("/etc/fstab", "")
	l.install(d.kit.bin+"/klp-audit", "/usr/bin/klp-audit")
	l.install("../packaging/dracut/99zz-klp-audit/module-setup.sh", "/usr/lib/dracut/modules.d/99zz-klp-audit/module-setup.sh")
	l.write(standIn, `#!/bin/bash
check() { return 0; }
depends() { return 0; }
install() {
    local f
    for f in /lib/modules/"$kernel"/livepatch/*.ko; do
        [[ -e $f ]] && inst_simple "$f"
    done
    return 0
}
`)
	l.write(initOnly, "check() { return 255; }\ninstall() { : > \"$initdir/init\"; }\n")
	execute(t, "chmod", "+x", l.root+standIn, l.root+initOnly)
	if err := os.CopyFS(l.root+"/lib/modules", os.DirFS(d.kernels)); err != nil {
		t.Fatal(err)
	}
	for _, kernel := range []string{patched, unpatched} {
		// Newer versions of dracut check what the kernel can unpack.
		l.write("/boot/config-"+kernel, "CONFIG_BLK_DEV_INITRD=y\nCONFIG_RD_BZIP2=y\nCONFIG_RD_GZIP=y\nCONFIG_RD_LZ4=y\nCONFIG_RD_XZ=y\nCONFIG_RD_ZSTD=y\n")
		l.mustRun("/sbin/depmod", kernel)
	}
	return l
}

// startJournal runs a real journald.
func (l *lab) startJournal() {
	l.t.Helper()
	l.write("/etc/systemd/journald.conf.d/lab.conf", "[Journal]\nReadKMsg=no\nAudit=no\nStorage=volatile\n")
	if err := os.MkdirAll(l.root+"/run/systemd/journal", 0o755); err != nil {
		l.t.Fatal(err)
	}
	journald := l.start(l.command("/lib/systemd/systemd-journald"))
	l.t.Cleanup(func() { journald.kill(); journald.wait() })
	l.await("journald", func() bool { return l.exists("/run/systemd/journal/socket") })
}

// must runs a program together with journald, and returns what it printed.
func (l *lab) must(program string, args ...string) string {
	l.t.Helper()
	out, err := l.command(program, args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("running %s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// few are the dracut modules of an image that is built quickly: instead of "base", whose programs
// are slow to pack, it has nothing but an init.
const few = "lab-init kernel-livepatch zz-klp-audit"

// dracut builds an image and returns what it printed.
func (l *lab) dracut(args ...string) string {
	l.t.Helper()
	common := []string{"--force", "--no-hostonly", "--no-hostonly-cmdline", "--strip", "--kver"}
	return l.must("/usr/bin/dracut", append(common, args...)...)
}

// entries are what klp-audit wrote to the journal, with the fields that nobody can forge.
func (l *lab) entries() (entries []map[string]string) {
	l.t.Helper()
	l.must("/bin/journalctl", "--sync")
	for line := range strings.Lines(l.must("/bin/journalctl", "-q", "-o", "json", "--no-pager", built)) {
		var all map[string]any
		if err := json.Unmarshal([]byte(line), &all); err != nil {
			l.t.Fatalf("%v: %s", err, line)
		}
		entry := map[string]string{}
		for _, name := range []string{"_TRANSPORT", "_UID", "SYSLOG_IDENTIFIER", "KLP_KERNEL", "KLP_IMAGE", "KLP_MODULE", "KLP_SRCVERSION"} {
			if text, ok := all[name].(string); ok {
				entry[name] = text
			}
		}
		entries = append(entries, entry)
	}
	return entries
}

// entry is the expected entry for a kernel; module is empty if none was packed.
func entry(kernel, image, module string) map[string]string {
	e := map[string]string{
		"_TRANSPORT": "journal", "_UID": "0", "SYSLOG_IDENTIFIER": "klp-audit",
		"KLP_KERNEL": kernel, "KLP_IMAGE": image,
	}
	if module != "" {
		e["KLP_MODULE"], e["KLP_SRCVERSION"] = module, "0123456789ABCDEF0123456"
	}
	return e
}

func (l *lab) wantEntries(want ...map[string]string) {
	l.t.Helper()
	if diff := cmp.Diff(want, l.entries()); diff != "" {
		l.t.Error(diff)
	}
}

// read reads an image and returns the live patches in it, by file and kernel.
func (l *lab) read(image string) (*initrd.Image, []string) {
	l.t.Helper()
	img, err := initrd.Read(l.t.Context(), l.root+image)
	if err != nil {
		l.t.Fatal(err)
	}
	var patches []string
	for _, m := range img.Modules {
		patches = append(patches, m.File, m.KernelRelease, m.SrcVersion)
	}
	return img, patches
}

func (l *lab) wantPatch(image string, present bool) *initrd.Image {
	l.t.Helper()
	var want []string
	if present {
		want = []string{patchFile, patched, "0123456789ABCDEF0123456"}
	}
	img, got := l.read(image)
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Error(diff)
	}
	return img
}

func withLivePatch(t *testing.T, l *lab) {
	l.startJournal()
	l.dracut(patched, "/boot/initrd")
	l.wantEntries(entry(patched, "/boot/initrd", patchFile))
	img := l.wantPatch("/boot/initrd", true)
	if n := len(img.DracutModules); n < 5 || img.DracutModules[n-1] != "zz-klp-audit" {
		t.Errorf("dracut modules %q", img.DracutModules)
	}
	for line := range strings.Lines(l.must("/usr/bin/lsinitrd", "/boot/initrd")) {
		if strings.Contains(line, "klp-audit") && strings.TrimSpace(line) != "zz-klp-audit" {
			t.Errorf("the image holds %s", line)
		}
	}
}

func withoutLivePatch(t *testing.T, l *lab) {
	l.startJournal()
	l.dracut(unpatched, "--modules", few, "/boot/initrd")
	l.wantEntries(entry(unpatched, "/boot/initrd", ""))
	l.wantPatch("/boot/initrd", false)
}

// Drivers are packed after all modules, so "none" would be a lie.
func withDriver(t *testing.T, l *lab) {
	if err := os.RemoveAll(l.root + filepath.Dir(standIn)); err != nil {
		t.Fatal(err)
	}
	l.startJournal()
	l.dracut(patched, "--modules", "lab-init zz-klp-audit", "--add-drivers", "livepatch-2-150600_13_6_1", "/boot/initrd")
	l.wantEntries()
	l.wantPatch("/boot/initrd", true)
	l.dracut(patched, "--modules", "lab-init zz-klp-audit", "--install", "/lib/modules/"+patched+"/livepatch/"+patchFile, "/boot/initrd-2")
	l.wantEntries()
	l.wantPatch("/boot/initrd-2", true)
}

func withTwoKernels(t *testing.T, l *lab) {
	l.startJournal()
	l.must("/usr/bin/dracut", "--force", "--no-hostonly", "--no-hostonly-cmdline", "--modules", few, "--regenerate-all")
	images, err := filepath.Glob(l.root + "/boot/init*")
	if err != nil || len(images) != 2 {
		t.Fatalf("images %q, %v", images, err)
	}
	var want []map[string]string
	for _, path := range images {
		image := strings.TrimPrefix(path, l.root)
		kernel, module := unpatched, ""
		if strings.Contains(image, patched) {
			kernel, module = patched, patchFile
		}
		want = append(want, entry(kernel, image, module))
		l.wantPatch(image, kernel == patched)
	}
	l.wantEntries(want...)
}

func withoutJournal(t *testing.T, l *lab) {
	out := l.dracut(patched, "--modules", few, "/boot/initrd")
	if strings.Contains(out, "klp-audit:") {
		t.Errorf("klp-audit's output appeared:\n%s", out)
	}
	l.wantPatch("/boot/initrd", true)
}

func withBadProgram(t *testing.T, l *lab) {
	l.startJournal()
	l.write("/usr/bin/klp-audit", "#!/bin/sh\necho loud; echo loud >&2; exit 1\n")
	if out := l.dracut(patched, "--modules", few, "/boot/initrd"); strings.Contains(out, "loud") {
		t.Errorf("klp-audit's output appeared:\n%s", out)
	}
	l.write("/usr/bin/klp-audit", "#!/bin/sh\ntrap '' TERM\nsleep 600\nsleep 600\n")
	l.dracut(patched, "--modules", few, "/boot/initrd-2") // it is stopped early
	l.wantPatch("/boot/initrd", true)
	l.wantPatch("/boot/initrd-2", true)
}

func withCompressions(t *testing.T, l *lab) {
	for _, name := range []string{"gzip", "bzip2", "xz", "zstd", "cat", "lz4"} {
		image := "/boot/initrd-" + name
		l.dracut(patched, "--modules", few, "--compress", name, image)
		if name == "lz4" {
			if _, err := initrd.Read(t.Context(), l.root+image); err == nil || !strings.Contains(err.Error(), "compressed with lz4") {
				t.Error(err)
			}
			continue
		}
		img := l.wantPatch(image, true)
		if got := img.Compression[len(img.Compression)-1]; got != strings.Replace(name, "cat", "none", 1) {
			t.Errorf("%s: %q", name, img.Compression)
		}
	}
}

func withInitramfsTools(t *testing.T, l *lab) {
	l.write("/etc/initramfs-tools/hooks/livepatch", `#!/bin/sh
[ "$1" = prereqs ] && exit 0
. /usr/share/initramfs-tools/hook-functions
copy_file module /lib/modules/$version/livepatch/`+patchFile+"\n")
	if err := os.Chmod(l.root+"/etc/initramfs-tools/hooks/livepatch", 0o755); err != nil {
		t.Fatal(err)
	}
	l.must("/usr/sbin/mkinitramfs", "-o", "/boot/initrd.img", patched)
	l.wantPatch("/boot/initrd.img", true)
}
