package journal

import (
	"path"
	"slices"
	"strings"
)

// arguments are those of dracut, as far as its line shows them. The line joins them with spaces, so
// a value of several words looks like several values.
type arguments struct {
	unclear bool // an option is not understood, or refers to something that the line does not tell
	kver    *string
	sysroot string
	words   []string // [IMAGE [RELEASE]]
}

// valued are dracut's long options that take a value, in versions 051 to 111.
var valued = strings.Fields(`add add-confdir add-device add-drivers add-fstab compress conf confdir device drivers
	filesystems force-add force-drivers fscks fwdir hostonly-mode hostonly-nics install install-optional kernel-cmdline
	kernel-image kmoddir kver libdirs loginstall logfile modules mount omit omit-drivers persistent-policy prefix sbat
	squash-compressor sshkey stdlog sysroot tmpdir uefi-splash-image uefi-stub`)

// parseArguments reads the words after the program's name. An empty word shows as two spaces.
func parseArguments(text string) *arguments {
	a := &arguments{}
	_, text, _ = strings.Cut(text, " ")
	words := strings.Split(text, " ")
	for len(words) > 0 {
		word, rest := words[0], words[1:]
		switch {
		case word == "--":
			a.words, rest = append(a.words, rest...), nil
		case word == "-i" || word == "--include": // takes two values
			rest = rest[min(2, len(rest)):]
		case strings.HasPrefix(word, "--"):
			rest = a.long(word[2:], rest)
		case strings.HasPrefix(word, "-") && word != "-":
			rest = a.short(word[1:], rest)
		default:
			a.words = append(a.words, word)
		}
		words = rest
	}
	return a
}

// long takes a long option, and returns the words after its value.
func (a *arguments) long(option string, rest []string) []string {
	name, value, given := strings.Cut(option, "=")
	if name == "kv" || name == "kve" {
		name = "kver"
	}
	if name == "rebuild" || !slices.Contains(valued, name) && shortened(name) {
		a.unclear = true
	}
	if !given && (slices.Contains(valued, name) || name == "rebuild") && len(rest) > 0 {
		value, rest = rest[0], rest[1:]
	}
	switch name {
	case "kver":
		a.kver = &value
	case "sysroot":
		a.sysroot = value
	}
	return rest
}

// shortened says whether a name may abbreviate an option with a value, which getopt(1) accepts.
// Some of these are options themselves.
func shortened(name string) bool {
	whole := name == "force" || name == "hostonly" || name == "uefi"
	return !whole && slices.ContainsFunc(valued, func(v string) bool { return strings.HasPrefix(v, name) })
}

// short takes a word of short options; the last one may have a value.
func (a *arguments) short(letters string, rest []string) []string {
	i := strings.IndexAny(letters, "amodIkcrL")
	if i < 0 {
		return rest
	}
	value := letters[i+1:]
	if value == "" && len(rest) > 0 {
		value, rest = rest[0], rest[1:]
	}
	if letters[i] == 'r' {
		a.sysroot = value
	}
	return rest
}

// kernel returns the release that an image was built for, empty if not known. If dracut is called
// without one, it uses the running kernel.
func (a *arguments) kernel(image, running string) string {
	if a == nil || a.unclear {
		return ""
	}
	if a.kver != nil {
		if *a.kver == "" {
			return running
		}
		return *a.kver
	}
	release := running
	switch {
	case len(a.words) == 2 && a.words[1] != "":
		release = a.words[1]
	case len(a.words) > 2: // some values have several words
		i := slices.IndexFunc(a.words, func(w string) bool { return path.Base(w) == path.Base(image) })
		if i < 0 || i+1 >= len(a.words) {
			return ""
		}
		release = a.words[i+1]
	}
	if named := ImageRelease(image); !isRelease(release) || named != "" && named != release {
		return ""
	}
	return release
}

// ImageRelease returns the kernel release in the name of an image, empty if there is none.
func ImageRelease(image string) string {
	name := strings.TrimSuffix(path.Base(image), ".img")
	for _, prefix := range []string{"initrd-", "initramfs-", "initrd.img-"} {
		if release, ok := strings.CutPrefix(name, prefix); ok && isRelease(release) {
			return release
		}
	}
	return ""
}

func isRelease(s string) bool {
	return s != "" && s[0] >= '0' && s[0] <= '9' && strings.Contains(s, ".") && !strings.Contains(s, "/")
}
