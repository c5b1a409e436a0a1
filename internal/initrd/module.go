package initrd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// maxModule is the largest unpacked size of a module whose .modinfo is read.
const maxModule = 8 << 20

// Module is the file of a live patch module.
type Module struct {
	Path          string // in the image, without a leading slash
	File          string // the last element of Path
	KernelRelease string // the kernel that the module is for, judged by its path
	// Name is what the kernel calls the module: the name in .modinfo, else that of the file without
	// its extension and with underscores.
	Name string
	// SrcVersion is the source version in .modinfo. It is empty if the module has none, or if
	// .modinfo cannot be read.
	SrcVersion string
	// LivePatch says that the module has "livepatch=Y" in its .modinfo.
	LivePatch bool
	// SHA256 is the digest of the file as it is, compressed or not, in hexadecimal. It differs from
	// that of the installed file if the image builder stripped the module.
	SHA256 string
	Size   int64
}

// placed returns m with the path and kernel of at, and with its name if m has none.
func (m Module) placed(at Module) Module {
	m.Path, m.File, m.KernelRelease = at.Path, at.File, at.KernelRelease
	if m.Name == "" {
		m.Name = at.Name
	}
	return m
}

// locate says whether a path, without a leading slash, is the path of a live patch. Live patches
// are in lib/modules/RELEASE/livepatch, on SUSE Linux Enterprise 12 in .../kgraft, as
// INSTALL_MOD_DIR in the spec files of their packages says.
func locate(name string) (Module, bool) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "usr/"), "lib/modules/")
	release, rest, below := strings.Cut(rest, "/")
	dir, rest, within := strings.Cut(rest, "/")
	if !ok || !below || !within || dir != "livepatch" && dir != "kgraft" {
		return Module{}, false
	}
	m, ok := fromFile(path.Base(rest))
	m.Path, m.KernelRelease = strings.ToValidUTF8(name, "\uFFFD"), strings.ToValidUTF8(release, "\uFFFD")
	return m, ok
}

// fromFile names the module in a file; ok is false if the name does not have the extension of a
// module (the kernel's scripts/Makefile.modinst knows gz, xz and zst).
func fromFile(file string) (Module, bool) {
	file = strings.ToValidUTF8(file, "\uFFFD")
	stem := file
	for _, ext := range []string{".gz", ".xz", ".zst"} {
		stem = strings.TrimSuffix(stem, ext)
	}
	stem, ok := strings.CutSuffix(stem, ".ko")
	// This is how scripts/Makefile.lib makes KBUILD_MODNAME.
	return Module{File: file, Name: strings.NewReplacer("-", "_", ",", "_").Replace(stem)}, ok
}

func readOpened(f io.Reader, size int64, at Module) (Module, error) {
	m, err := readModule(context.Background(), f, size, &meter{left: maxOutput, what: "bytes to unpack"})
	if err != nil {
		return Module{}, fmt.Errorf("reading module %q: %w", at.Path, err)
	}
	return m.placed(at), nil
}

// InDir lists the live patches for a kernel in a folder that will become an image, such as dracut's
// initdir. Paths are relative to it, and no link leads out of it.
func InDir(initdir, kernel string) ([]Module, error) {
	if kernel == "" || strings.HasPrefix(kernel, ".") || strings.Contains(kernel, "/") {
		return nil, fmt.Errorf("listing live patches: %q is not a kernel release", kernel)
	}
	root, err := os.OpenRoot(initdir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var modules []Module
	var last fs.FileInfo
	for _, lib := range []string{"usr/lib", "lib"} { // one of them may be a link to the other
		dir := path.Join(lib, "modules", kernel)
		info, err := root.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && os.SameFile(last, info) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found, err := inFolders(root, dir)
		if err != nil {
			return nil, err
		}
		last, modules = info, append(modules, found...)
	}
	return modules, nil
}

// inFolders reads the live patches below the folder of a kernel's modules.
func inFolders(root *os.Root, dir string) (modules []Module, err error) {
	for _, folder := range []string{"kgraft", "livepatch"} {
		err := fs.WalkDir(root.FS(), path.Join(dir, folder), func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && d == nil {
				return nil
			}
			at, ok := locate(name)
			if err != nil || d.IsDir() || !ok {
				return err
			}
			m, err := readInRoot(root, name, at)
			modules = append(modules, m)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return modules, nil
}

func readInRoot(root *os.Root, name string, at Module) (Module, error) {
	f, info, err := regular(root.OpenFile(name, openFlags, 0))
	if err != nil {
		return Module{}, err
	}
	defer f.Close()
	return readOpened(f, info.Size(), at)
}

// readModule reads a module file of this size from r.
func readModule(ctx context.Context, r io.Reader, size int64, budget *meter) (Module, error) {
	m, sum := Module{Size: size}, sha256.New()
	src := bufio.NewReader(io.TeeReader(io.LimitReader(endless(r), size), sum))
	plain, err := unpackModule(ctx, src, budget)
	if err == nil {
		info := readModInfo(plain)
		m.Name, m.SrcVersion, m.LivePatch = info["name"], info["srcversion"], info["livepatch"] == "Y"
	}
	if budget.err != nil {
		return m, budget.err
	}
	_, err = io.Copy(io.Discard, src)
	m.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return m, err
}

// unpackModule reads a module, and decompresses it if it is compressed.
func unpackModule(ctx context.Context, src *bufio.Reader, budget *meter) ([]byte, error) {
	head, _ := src.Peek(magicSize) // an error will come again
	var r io.Reader = src
	if f, known := formatOf(head); known && f.open != nil {
		unpacked, err := f.open(src, budget.spend)
		if err != nil {
			return nil, err
		}
		r = budget.reader(ctx, unpacked)
	}
	plain := bytes.NewBuffer(make([]byte, 0, maxModule+2*bytes.MinRead)) // large enough never to grow
	_, err := plain.ReadFrom(io.LimitReader(r, maxModule+1))
	if err == nil && plain.Len() > maxModule {
		err = errors.New("too large")
	}
	return plain.Bytes(), err
}
