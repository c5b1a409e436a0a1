package initrd

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// maxModInfo is larger than any .modinfo, which has a few lines of a few hundred bytes.
const maxModInfo = 1 << 20

var errNoModInfo = errors.New("no .modinfo")

// readModInfo returns what the .modinfo section of a module says; nothing if there is no such
// section that can be read. elf.NewFile is not safe for hostile files: the names of their sections
// alone can fill the memory.
func readModInfo(module []byte) map[string]string {
	section, err := modInfoSection(bytes.NewReader(module))
	if err != nil {
		return nil
	}
	info := map[string]string{}
	for line := range strings.SplitSeq(string(section), "\x00") {
		if key, value, ok := strings.Cut(line, "="); ok && isWord(value) {
			if _, twice := info[key]; !twice { // the kernel uses the first one, too
				info[key] = value
			}
		}
	}
	return info
}

// isWord says whether s may be the name or source version of a module: both are short words of few
// different characters.
func isWord(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// modInfoSection finds the section in a 64-bit ELF file of either byte order.
func modInfoSection(r io.ReaderAt) ([]byte, error) {
	var ident [elf.EI_NIDENT]byte
	if _, err := r.ReadAt(ident[:], 0); err != nil || string(ident[:4]) != elf.ELFMAG || elf.Class(ident[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return nil, errNoModInfo
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(ident[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	var header elf.Header64
	if err := readStruct(r, order, 0, &header); err != nil {
		return nil, err
	}
	section := func(i uint16) (s elf.Section64, err error) {
		return s, readStruct(r, order, header.Shoff+uint64(i)*uint64(header.Shentsize), &s)
	}
	names, err := section(header.Shstrndx)
	for i := uint16(0); i < header.Shnum && err == nil; i++ {
		var s elf.Section64
		if s, err = section(i); err == nil && hasName(r, names.Off+uint64(s.Name), ".modinfo\x00") {
			return sectionData(r, s)
		}
	}
	return nil, errors.Join(err, errNoModInfo)
}

func readStruct(r io.ReaderAt, order binary.ByteOrder, offset uint64, v any) error {
	if offset > 1<<62 {
		return errNoModInfo
	}
	return binary.Read(io.NewSectionReader(r, int64(offset), int64(binary.Size(v))), order, v)
}

func hasName(r io.ReaderAt, offset uint64, want string) bool {
	got := make([]byte, len(want))
	if offset > 1<<62 {
		return false
	}
	_, err := r.ReadAt(got, int64(offset))
	return err == nil && string(got) == want
}

func sectionData(r io.ReaderAt, s elf.Section64) ([]byte, error) {
	if s.Size > maxModInfo || s.Off > 1<<62 || elf.SectionFlag(s.Flags)&elf.SHF_COMPRESSED != 0 {
		return nil, errNoModInfo
	}
	data := make([]byte, s.Size)
	_, err := r.ReadAt(data, int64(s.Off))
	return data, err
}
