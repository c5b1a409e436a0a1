package initrd

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

const (
	release   = "6.4.0-150600.23.42-default"
	patchPath = "lib/modules/" + release + "/livepatch/livepatch-2-150600_13_6_1.ko"
	patchName = "livepatch_2_150600_13_6_1"
)

// entry is a file of an archive.
type entry struct {
	name, data string
	mode       uint32
	inode      int
	links      int
}

func reg(name, data string) entry { return entry{name: name, data: data, mode: 0o100644, links: 1} }
func symlink(name, to string) entry {
	return entry{name: name, data: to, mode: 0o120777, links: 1}
}
func hardlink(name, data string, inode int) entry {
	return entry{name: name, data: data, mode: 0o100644, links: 2, inode: inode}
}

// newc writes a cpio archive as GNU cpio -H newc does, without padding it to blocks.
func newc(entries ...entry) string {
	var b strings.Builder
	pad := func() { b.WriteString(strings.Repeat("\x00", -b.Len()&3)) }
	for _, e := range append(entries, entry{name: "TRAILER!!!", links: 1}) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			e.inode, e.mode, 0, 0, e.links, 0, len(e.data), 0, 0, 0, 0, len(e.name)+1, 0, e.name)
		pad()
		b.WriteString(e.data)
		pad()
	}
	return b.String()
}

// whole is an archive with what every initrd has.
func whole(entries ...entry) string {
	return newc(append(entries, symlink("init", "usr/lib/systemd/systemd"))...)
}

// microcode is an archive like those that precede others.
func microcode() string {
	return newc(reg("kernel/x86/microcode/GenuineIntel.bin", strings.Repeat("\x55", 1000)))
}

// module is an ELF file with a .modinfo section.
func module(order binary.ByteOrder, lines ...string) string {
	names, info := "\x00.shstrtab\x00.modinfo\x00", strings.Join(lines, "\x00")+"\x00"
	header := elf.Header64{
		Type: 1, Version: 1, Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 1,
		Shoff: uint64(64 + len(names) + len(info)),
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB)
	if order == binary.BigEndian {
		header.Ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	sections := []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_STRTAB), Off: 64, Size: uint64(len(names))},
		{Name: 11, Type: uint32(elf.SHT_PROGBITS), Off: uint64(64 + len(names)), Size: uint64(len(info))},
	}
	return encode(order, header) + names + info + encode(order, sections)
}

func encode(order binary.ByteOrder, v any) string {
	var b bytes.Buffer
	if err := binary.Write(&b, order, v); err != nil {
		panic(err)
	}
	return b.String()
}

func livePatch(version string) string {
	return module(binary.LittleEndian, "livepatch=Y", "srcversion="+version, "name="+patchName)
}

// compress packs s with one of the compressions that Go can write.
func compress(t testing.TB, with, s string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch with {
	case "none":
		return s
	case "gzip":
		w = gzip.NewWriter(&b)
	case "xz":
		w, err = xz.WriterConfig{DictCap: 1 << 20, BlockSize: 4096}.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	}
	if err == nil {
		_, err = io.WriteString(w, s)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatalf("compressing with %s: %v", with, err)
	}
	return b.String()
}
