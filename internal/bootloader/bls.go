package bootloader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf16"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

const (
	efiVars = "/sys/firmware/efi/efivars"
	// loaderGUID is the vendor of the variables of the Boot Loader Interface.
	loaderGUID = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
)

// systemdBootDefault reads the default of systemd-boot: a firmware variable, for one boot or for
// all (LoaderEntryOneShot and LoaderEntryDefault of the Boot Loader Interface), else the pattern in
// loader.conf(5). Then it reads the entry, as the UAPI Boot Loader Specification defines it.
//
// SUSE's GRUB for such entries (grub2-bls) uses the variables, too, but not loader.conf.
func systemdBootDefault(root string, loader string) (Entry, error) {
	boot, err := espOf(root)
	if err != nil {
		return Entry{}, err
	}
	pattern, source, err := systemdBootPattern(root, boot, loader)
	if err != nil {
		return Entry{}, err
	}
	entry, err := matchingEntry(root, path.Join(boot, "loader/entries"), pattern)
	if err != nil {
		return Entry{}, fmt.Errorf("default %.200q by %s: %w", pattern, source, err)
	}
	e, err := readBLS(root, boot, entry)
	e.Source = source
	return e.Entry, err
}

// blsEntries are the entries that start this system, each with its snapshot.
func blsEntries(root string) (entries []blsEntry, err error) {
	boot, err := espOf(root)
	if err != nil {
		return nil, err
	}
	folder := path.Join(boot, "loader/entries")
	files, err := rooted.ReadDir(root, folder)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if e, err := readBLS(root, boot, path.Join(folder, f.Name())); err == nil && strings.HasSuffix(f.Name(), ".conf") {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// blsEntry is an entry with the subvolume that it starts; empty: it names none.
type blsEntry struct {
	Entry
	subvolume string
}

// rootFlag is the subvolume in an entry's options.
func rootFlag(options []string) (subvolume string) {
	for _, o := range options {
		flags, _ := strings.CutPrefix(o, "rootflags=")
		for flag := range strings.SplitSeq(flags, ",") {
			if name, ok := strings.CutPrefix(flag, "subvol="); ok && flags != o {
				subvolume = path.Clean("/" + name)
			}
		}
	}
	return subvolume
}

// espOf is where the partition that systemd-boot reads is mounted.
func espOf(root string) (string, error) {
	for _, file := range []string{"loader/loader.conf", "loader/entries"} {
		for _, dir := range []string{"/boot/efi", "/efi", "/boot"} {
			_, err := rooted.Stat(root, path.Join(dir, file))
			if err == nil {
				return dir, nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
	}
	return "", errors.New("no loader/loader.conf in /boot/efi, /efi, or /boot")
}

func systemdBootPattern(root, boot, loader string) (pattern, source string, err error) {
	vars, err := rooted.ReadDir(root, efiVars)
	if err != nil {
		return "", "", err
	}
	if len(vars) == 0 {
		return "", "", fmt.Errorf("reading %q: the variables of the firmware are not there", efiVars)
	}
	for _, name := range []string{"LoaderEntryOneShot", "LoaderEntryDefault"} {
		source = path.Join(efiVars, name+"-"+loaderGUID)
		text, err := rooted.ReadFile(root, source)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			pattern, err = efiString(text)
		}
		if err != nil {
			return "", "", fmt.Errorf("reading %q: %w", source, err)
		}
		if pattern != "" {
			return pattern, source, nil
		}
	}
	if loader == grubBLS {
		return "", "", errors.New("the variables of the firmware name no default")
	}
	source = path.Join(boot, "loader/loader.conf")
	text, err := rooted.ReadFile(root, source)
	if err != nil {
		return "", "", err
	}
	if pattern = blsFields(text)["default"]; pattern == "" {
		return "", "", fmt.Errorf("parsing %q: it names no default", source)
	}
	return pattern, source, nil
}

// efiString decodes a variable's value: four bytes of attributes, and a text in UTF-16.
func efiString(text string) (string, error) {
	if len(text) < 4 || len(text)%2 != 0 {
		return "", errors.New("not a text variable")
	}
	var units []uint16
	for b := []byte(text[4:]); len(b) > 0; b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	return strings.TrimRight(string(utf16.Decode(units)), "\x00"), nil
}

// matchingEntry is the only entry that a pattern matches.
func matchingEntry(root, folder, pattern string) (string, error) {
	if strings.HasPrefix(pattern, "@") || strings.HasSuffix(pattern, ".efi") {
		return "", errors.New("it is no entry with a kernel and an initrd of its own")
	}
	entries, err := rooted.ReadDir(root, folder)
	if err != nil {
		return "", err
	}
	var found []string
	for _, e := range entries {
		id, isConf := strings.CutSuffix(e.Name(), ".conf")
		id, _, _ = strings.Cut(id, "+") // boot counting: NAME+LEFT-DONE.conf
		for _, name := range []string{id, id + ".conf"} {
			matches, err := path.Match(strings.ToLower(pattern), strings.ToLower(name))
			if err != nil {
				return "", err
			}
			if matches && isConf {
				found = append(found, path.Join(folder, e.Name()))
				break
			}
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no entry in %q matches", folder)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%d entries in %q match", len(found), folder)
}

// readBLS reads an entry. Its version may be preceded by the number of a snapshot (27@6.4.0…).
func readBLS(root, boot, name string) (blsEntry, error) {
	text, err := rooted.ReadFile(root, name)
	if err != nil {
		return blsEntry{}, err
	}
	fields := blsFields(text)
	options, own := strings.Fields(fields["options"]), readOwnSystem(root)
	err = own.check(rootArgument(options), "")
	if id := fields["machine-id"]; err == nil && id != "" && own.machineID != "" && id != own.machineID {
		err = fmt.Errorf("it starts another system: its machine id is %.100q", id)
	}
	if err != nil {
		return blsEntry{}, fmt.Errorf("entry %q: %w", name, err)
	}
	_, release, found := strings.Cut(fields["version"], "@")
	if !found {
		release = fields["version"]
	}
	if release == "" {
		if release, err = kernelRelease(root, fields["linux"]); err != nil {
			return blsEntry{}, fmt.Errorf("parsing %q: %w", name, err)
		}
	}
	if !isRelease(release) || fields["linux"] == "" {
		return blsEntry{}, fmt.Errorf("parsing %q: it names no kernel and release", name)
	}
	e := blsEntry{Entry{Title: fields["title"], KernelRelease: release, Source: name}, rootFlag(options)}
	if fields["initrd"] != "" {
		e.Initrd = path.Join(boot, path.Clean("/"+fields["initrd"]))
	}
	return e, nil
}

// blsFields are the lines "key value"; the last one of several initrd lines counts, because
// microcode comes first.
func blsFields(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(strings.ToValidUTF8(text, "\uFFFD")) {
		line = strings.TrimSpace(line)
		if i := strings.IndexAny(line, " \t"); i > 0 && !strings.HasPrefix(line, "#") {
			fields[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return fields
}
