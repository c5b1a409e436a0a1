package initrd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

func scan(t *testing.T, image string) *Image {
	t.Helper()
	img, err := Scan(t.Context(), strings.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func paths(img *Image) (names []string) {
	for _, m := range img.Modules {
		names = append(names, m.Path)
	}
	return names
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestScanDescribesAnImage(t *testing.T) {
	ko := livePatch("0123456789ABCDEF0123456")
	image := microcode() + strings.Repeat("\x00", 600) + compress(t, "zstd", whole(
		reg("usr/lib/dracut/modules.txt", "systemd\nkernel-livepatch\n"),
		reg("usr/"+patchPath, ko),
		reg("usr/lib/modules/"+release+"/kernel/fs/ext4/ext4.ko", "no live patch"),
	))
	want := &Image{
		Size: int64(len(image)), SHA256: digest(image),
		DracutModules: []string{"systemd", "kernel-livepatch"},
		Compression:   []string{"none", "zstd"},
		Modules: []Module{{
			Path: "usr/" + patchPath, File: "livepatch-2-150600_13_6_1.ko", KernelRelease: release,
			Name: patchName, SrcVersion: "0123456789ABCDEF0123456", LivePatch: true,
			SHA256: digest(ko), Size: int64(len(ko)),
		}},
	}
	if diff := cmp.Diff(want, scan(t, image)); diff != "" {
		t.Error(diff)
	}
}

// Each compression appears between others and padding: no part's reader may take a byte of the
// next.
func TestScanReadsPartsInAnyOrder(t *testing.T) {
	kinds := []string{"none", "gzip", "xz", "zstd"}
	patch := func(kernel int) string { return fmt.Sprintf("lib/modules/%d/livepatch/l.ko", kernel) }
	noise := make([]byte, 20_000) // several blocks of xz
	rand.NewChaCha8([32]byte{}).Read(noise)
	for _, first := range kinds {
		for _, second := range kinds {
			image := compress(t, first, newc(reg("noise", string(noise)), reg(patch(1), "a"))) +
				compress(t, second, newc(reg(patch(2), "b"))+"\x00\x00"+newc(reg(patch(3), "c"))) + strings.Repeat("\x00", 511) +
				compress(t, first, whole(reg(patch(4), "d"))) + "\x00"
			got := scan(t, image)
			if diff := cmp.Diff([]string{patch(1), patch(2), patch(3), patch(4)}, paths(got)); diff != "" {
				t.Errorf("%s, %s: %s", first, second, diff)
			}
		}
	}
}

func TestScanFindsLivePatches(t *testing.T) {
	ko := livePatch("AAAA")
	other := "lib/modules/" + release + "/livepatch/livepatch-1-1.ko"
	tests := []struct {
		name    string
		entries []entry
		want    []string // path, name, source version
	}{
		{"with ./", []entry{reg("./"+patchPath, ko)}, []string{patchPath, patchName, "AAAA"}},
		{"with a slash", []entry{reg("/"+patchPath, ko)}, []string{patchPath, patchName, "AAAA"}},
		{"of SLE 12", []entry{reg("lib/modules/4.12.14-122.216-default/kgraft/kgraft-patch-4-2.1.ko", ko)},
			[]string{"lib/modules/4.12.14-122.216-default/kgraft/kgraft-patch-4-2.1.ko", patchName, "AAAA"}},
		{"named by their file", []entry{reg(other, "no ELF")}, []string{other, "livepatch_1_1", ""}},
		{"packed with xz", []entry{reg(patchPath+".xz", compress(t, "xz", ko))}, []string{patchPath + ".xz", patchName, "AAAA"}},
		{"packed with zstd", []entry{reg(patchPath+".zst", compress(t, "zstd", ko))}, []string{patchPath + ".zst", patchName, "AAAA"}},
		{"packed with gzip", []entry{reg(patchPath+".gz", compress(t, "gzip", ko))}, []string{patchPath + ".gz", patchName, "AAAA"}},
		{"packed and damaged", []entry{reg(patchPath+".gz", compress(t, "gzip", ko)[:20])}, []string{patchPath + ".gz", patchName, ""}},
		{"the last of a name", []entry{reg(patchPath, livePatch("BBBB")), reg(patchPath, ko)}, []string{patchPath, patchName, "AAAA"}},
		{"hard links", []entry{hardlink(other, "", 7), hardlink(patchPath, ko, 7)},
			[]string{other, patchName, "AAAA", patchPath, patchName, "AAAA"}},
		{"a hard link to elsewhere", []entry{hardlink(patchPath, "", 7), hardlink("opt/x.ko", ko, 7)}, []string{patchPath, patchName, "AAAA"}},
		{"symbolic links", []entry{symlink(other, "livepatch-2-150600_13_6_1.ko"), reg(patchPath, ko)},
			[]string{other, patchName, "AAAA", patchPath, patchName, "AAAA"}},
		{"absolute links", []entry{symlink(other, "/"+patchPath), reg(patchPath, ko)},
			[]string{other, patchName, "AAAA", patchPath, patchName, "AAAA"}},
		{"none that is empty", []entry{reg(patchPath, ""), hardlink(other, "", 3)}, nil},
		{"none that is a folder", []entry{{name: patchPath, mode: 0o040755, links: 2}}, nil},
		{"none elsewhere", []entry{reg("sysroot/"+patchPath, ko), reg("lib/modules/x/extra/livepatch-1-1.ko", ko),
			reg("lib/modules/x/livepatch/README", ko), reg("lib/modules/livepatch/x.ko", ko)}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, m := range scan(t, whole(test.entries...)).Modules {
				got = append(got, m.Path, m.Name, m.SrcVersion)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Nothing can be concluded from an image that was not read to its end.
func TestScanRefuses(t *testing.T) {
	squash := reg("squash-root.img", "hsqs"+strings.Repeat("\x01", 2000))
	erofs := reg("erofs-root.img", strings.Repeat("\x00", 1024)+"\xe2\xe1\xf5\xe0\x00")
	tests := []struct{ name, image, want string }{
		{"nothing", "", "it has no init"},
		{"zeros", strings.Repeat("\x00", 100_000), "it has no init"},
		{"microcode only", microcode(), "it has no init"},
		{"text", "#!/bin/sh\necho", "not an initrd: magic 23 21 2f 62 69 6e 2f 73 at byte 0"},
		{"a short text", "#!", "not an initrd: magic 23 21 at byte 0"},
		{"text after", whole() + "\x00\x00\x00garbage!", "magic 67 61 72 62 61 67 65 21 at byte"},
		{"lz4", "\x02!L\x18aaaaaaaa", "compressed with lz4, which klp-audit cannot read"},
		{"lz4 frames", microcode() + "\x04\"M\x18aaaaaaaa", "compressed with lz4, which klp-audit cannot read"},
		{"lzma", "\x5d\x00\x00\x80\x00aaaa", "compressed with lzma, which klp-audit cannot read"},
		{"lzo", "\x89LZO\x00\r\n\x1a\n", "compressed with lzo, which klp-audit cannot read"},
		{"squash", "hsqsaaaaaaaa", "a squash image"},
		{"squash within", whole(squash), `"squash-root.img" in it is a squash image`},
		{"erofs within", whole(erofs), `"erofs-root.img" in it is a squash image`},
		{"unified kernel", "MZ\x00\x00aaaaaaaa", "a unified kernel image"},
		{"old cpio", "070707aaaaaaaaaa", "a cpio archive of the old kind"},
		{"bad header", "070701zzzzzzzzzz" + strings.Repeat("z", 200), "damaged at byte"},
		{"negative size", strings.Replace(whole(reg("x", "y")), "00000001", "-0000001", 2), "damaged at byte"},
		{"compressed twice", compress(t, "gzip", compress(t, "xz", whole())), "a xz part within a gzip part"},
		{"text within", compress(t, "gzip", "hello, world"), "not an initrd: magic 68 65 6c 6c"},
		{"bad gzip", whole() + "\x1f\x8bgarbage garbage", "damaged at byte"},
		{"bad xz", whole() + "\xfd7zXZ\x00garbage garbage", "damaged at byte"},
		{"bad zstd", whole() + "\x28\xb5\x2f\xfd\xffgarbage garbage", ""},
		{"bad bzip2", whole() + "BZhgarbage garbage", "damaged at byte"},
		{"changed", flip(compress(t, "zstd", whole(reg("x", strings.Repeat("abc", 1000)))), -3), "damaged at byte"},
		{"window of zstd", wideZstd(t), "zstd needs 32 MiB to unpack"},
		{"link to nothing", whole(symlink(patchPath, "../x.ko")), "x.ko\", which is not a live patch in it"},
		{"thousands of archives", strings.Repeat(newc(), 10_000), "more than 64 archives"},
		{"hundreds of patches", whole(many(300)...), "more than 256 live patches"},
		{"long name", whole(reg(strings.Repeat("x", 5000), "")), "damaged at byte"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			img, err := Scan(t.Context(), strings.NewReader(test.image))
			if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v; want %q", img, err, test.want)
			}
		})
	}
}

func flip(s string, at int) string {
	b := []byte(s)
	b[(at+len(b))%len(b)] ^= 0xff
	return string(b)
}

func many(n int) (entries []entry) {
	for i := range n {
		entries = append(entries, reg(fmt.Sprintf("lib/modules/%d/livepatch/x.ko", i), "x"))
	}
	return entries
}

// wideZstd refers further back than any image needs to.
func wideZstd(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(32<<20))
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// However an image is cut, the result is an error that says where.
func TestScanNoticesTruncation(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"none", "gzip", "xz", "zstd"} {
		image := microcode() + compress(t, kind, whole(reg(patchPath, livePatch("AAAA"))))
		for n := range len(image) - 3 { // less than the padding after a trailer
			_, err := Scan(t.Context(), strings.NewReader(image[:n]))
			if !errors.Is(err, ErrUnreadable) {
				t.Fatalf("%s cut at byte %d of %d: %v", kind, n, len(image), err)
			}
		}
		_, err := Scan(t.Context(), strings.NewReader(image[:len(image)-30]))
		if want := fmt.Sprintf("truncated at byte %d", len(image)-30); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", kind, err, want)
		}
	}
}

func TestScanEndsWithItsContextAndItsReader(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Scan(ctx, zeros{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	broken := errors.New("input/output error")
	r := io.MultiReader(strings.NewReader(compress(t, "xz", whole())[:40]), iotest.ErrReader(broken))
	if _, err := Scan(t.Context(), r); !errors.Is(err, broken) {
		t.Errorf("broken disk: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestScanEndsEndlessImages(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("reads gigabytes")
	}
	tests := []struct {
		name, want string
		image      io.Reader
	}{
		{"padding", "more than 1024 MiB of bytes in it", zeros{}},
		{"a bomb", "more than 2048 MiB of bytes to unpack", bomb(t)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Scan(t.Context(), test.image)
			if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// bomb unpacks to three gigabytes of zeros.
func bomb(t *testing.T) io.Reader {
	t.Helper()
	return strings.NewReader(strings.Repeat(compress(t, "zstd", strings.Repeat("\x00", 64<<20)), 48))
}
