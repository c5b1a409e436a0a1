package bench

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/cavaliergopher/cpio"
)

// packer is a way to pack an image, and to list its content with standard tools.
type packer struct {
	name     string
	pack     string // the command that dracut uses
	contents string // lists the content of the image "$1"
	tools    string // tools used for that
	asked    float64
}

func packers() []packer {
	return []packer{
		{"none", "cat", `cpio --quiet -t <"$1"`, "cpio -t", 1.2},
		{"gzip", "gzip -6", `gzip -dc "$1" | cpio --quiet -t`, "gzip -dc, cpio -t", 1.2},
		{"zstd", "zstd -q -3 -T0", `zstd -q -dc "$1" | cpio --quiet -t`, "zstd -dc, cpio -t", 1.2},
		{"xz", "xz -0 --check=crc32 -T0", `xz -dc "$1" | cpio --quiet -t`, "xz -dc, cpio -t", 0},
	}
}

// images measures the reading of images.
func (b *bench) images() {
	for _, p := range packers() {
		if b.smoke && p.name != "none" && p.name != "zstd" {
			continue
		}
		if pack, _, _ := strings.Cut(p.pack, " "); b.has("images, "+p.name, pack, "cpio") {
			b.image(p)
		}
	}
}

func (b *bench) image(p packer) {
	mebibytes := []int{20, 100, 300}
	switch {
	case b.smoke:
		mebibytes = []int{2, 20}
	case p.name == "xz":
		mebibytes = mebibytes[:2] // the rest takes minutes
	}
	var sizes []size
	for _, n := range mebibytes {
		sizes = append(sizes, size{fmt.Sprintf("%d MiB", n), n, true})
	}
	root := b.machineRoot()
	b.grown("initrd image, "+p.name, sizes, p.asked, func(n size) (*entrant, *entrant) {
		path := b.imageOf(p, n.amount)
		return b.ours("--root", root, "initrd", "--format", "json", "--kernel", release(1), "--patch", module(1, 1), "--image", path),
			b.shell(p.tools, p.contents+" >/dev/null", path)
	})
}

// imageOf is an image of this many MiB.
func (b *bench) imageOf(p packer, mebibytes int) string {
	return b.kept(fmt.Sprintf("initrd-%s-%d", p.name, mebibytes), func(path string) { b.makeImage(path, p.pack, int64(mebibytes)<<20) })
}

// machineRoot is a file tree with as much of a machine as is needed to ask about an image.
func (b *bench) machineRoot() string {
	b.Helper()
	root := b.TempDir()
	b.check(os.MkdirAll(filepath.Join(root, "proc/sys/kernel"), 0o755))
	b.check(os.WriteFile(filepath.Join(root, "proc/sys/kernel/osrelease"), []byte(release(1)+"\n"), 0o644))
	return root
}

// makeImage packs what this system has below /usr, until the image is large enough.
func (b *bench) makeImage(path, pack string, size int64) {
	b.Helper()
	out, err := os.Create(path)
	b.check(err)
	cmd := exec.Command("/bin/sh", "-c", pack)
	cmd.Stdout = out
	in, err := cmd.StdinPipe()
	b.check(err)
	b.check(cmd.Start())
	w := cpio.NewWriter(in)
	for n := 0; sizeOf(path) < size; n++ {
		b.addTree(w, fmt.Sprint(n), func() bool { return sizeOf(path) >= size })
	}
	b.check(w.Close())
	b.check(in.Close())
	b.check(cmd.Wait())
	b.check(out.Close())
}

// addTree adds the files below /usr under another root, until it is enough.
func (b *bench) addTree(w *cpio.Writer, root string, enough func() bool) {
	for _, dir := range []string{"/usr/lib", "/usr/bin", "/usr/share"} {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			if enough() {
				return fs.SkipAll
			}
			data, err := os.ReadFile(path)
			if err != nil || len(data) > 1<<20 {
				return nil
			}
			b.check(w.WriteHeader(&cpio.Header{Name: root + path, Mode: cpio.TypeReg | 0o644, Size: int64(len(data))}))
			_, err = io.Copy(w, bytes.NewReader(data))
			b.check(err)
			return nil
		})
	}
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
