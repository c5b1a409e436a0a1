package bootloader

import (
	"fmt"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

const ziplConf = "/etc/zipl.conf"

// ziplDefault reads zipl.conf(5): [defaultboot] names a section, or a :menu of sections.
// It is what the boot record was made from, unless zipl was not run since.
func ziplDefault(root string) (Entry, error) {
	text, err := rooted.ReadFile(root, ziplConf)
	if err != nil {
		return Entry{}, err
	}
	sections := ziplSections(text)
	name := sections["[defaultboot]"]["default"]
	if menu := sections["[defaultboot]"]["defaultmenu"]; menu != "" {
		name = sections[":"+menu][sections[":"+menu]["default"]]
	}
	section := sections["["+name+"]"]
	if name == "" || section["image"] == "" {
		return Entry{}, fmt.Errorf("parsing %q: it names no default with an image", ziplConf)
	}
	// An address in memory may follow.
	image, _, _ := strings.Cut(section["image"], ",")
	release, err := kernelRelease(root, image)
	if err != nil {
		return Entry{}, err
	}
	initrd, _, _ := strings.Cut(section["ramdisk"], ",")
	return Entry{name, release, initrd, ziplConf}, nil
}

// ziplSections are the values by section, "[name]" or ":name", and key.
func ziplSections(text string) map[string]map[string]string {
	sections := map[string]map[string]string{}
	current := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.ToValidUTF8(line, "\uFFFD"))
		if strings.HasPrefix(line, "[") || strings.HasPrefix(line, ":") {
			current = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if sections[current] == nil {
			sections[current] = map[string]string{}
		}
		sections[current][strings.TrimSpace(key)] = strings.Trim(strings.TrimSpace(value), `"'`)
	}
	return sections
}
