package bootloader

import (
	"fmt"
	"strings"

	"github.com/klp-audit/klp-audit/internal/ini"
	"github.com/klp-audit/klp-audit/internal/rooted"
)

const ziplConf = "/etc/zipl.conf"

// ziplDefault reads zipl.conf(5): [defaultboot] names a section, or a :menu of sections. The boot
// record was made from it, unless zipl has not run since it changed.
func ziplDefault(root string) (Entry, error) {
	text, err := rooted.ReadFile(root, ziplConf)
	if err != nil {
		return Entry{}, err
	}
	conf := ini.ParseZipl(strings.ToValidUTF8(text, "\uFFFD"))
	get := func(section, key string) string { return strings.Trim(conf.Get(section, key), `"'`) }
	name := get("defaultboot", "default")
	if menu := get("defaultboot", "defaultmenu"); menu != "" {
		name = get(":"+menu, get(":"+menu, "default"))
	}
	image, _, _ := strings.Cut(get(name, "image"), ",") // an address in memory may follow
	if name == "" || image == "" {
		return Entry{}, fmt.Errorf("parsing %q: it names no default with an image", ziplConf)
	}
	release, err := kernelRelease(root, image)
	if err != nil {
		return Entry{}, err
	}
	initrd, _, _ := strings.Cut(get(name, "ramdisk"), ",")
	return Entry{name, release, initrd, ziplConf}, nil
}
