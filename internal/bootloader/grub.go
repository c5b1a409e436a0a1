package bootloader

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/internal/snapshot"
)

const grubEnv = "/boot/grub2/grubenv"

// grubDefault reads the menu that grub2-mkconfig wrote, and the environment block with the saved
// entry. GRUB_DEFAULT in /etc/default/grub is only where the menu got its default from; it does not
// matter at boot.
func grubDefault(root string) (Entry, error) {
	menu, own, err := readGrub(root)
	if err != nil {
		return Entry{}, err
	}
	which, source, err := menu.chosen(root)
	if err != nil {
		return Entry{}, err
	}
	item, err := menu.find(which)
	if err == nil {
		err = item.check(own)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("default %.200q by %s: %w", which, source, err)
	}
	release, err := kernelRelease(root, item.linux)
	if err != nil {
		return Entry{}, err
	}
	return Entry{item.title, release, bootFile(item.initrd), source}, nil
}

// grubEntries are the entries of the menu that start this system.
func grubEntries(root string) (entries []Entry, err error) {
	menu, own, err := readGrub(root)
	if err != nil {
		return nil, err
	}
	var walk func(*grubMenu)
	walk = func(m *grubMenu) {
		for _, item := range m.items {
			if release, err := kernelRelease(root, item.linux); err == nil && item.check(own) == nil {
				entries = append(entries, Entry{item.title, release, bootFile(item.initrd), grubConf})
			}
			walk(item)
		}
	}
	walk(menu)
	return entries, nil
}

// readGrub reads the menu, and the names it uses for this system.
func readGrub(root string) (*grubMenu, ownSystem, error) {
	text, err := rooted.ReadFile(root, grubConf)
	if err != nil {
		return nil, ownSystem{}, err
	}
	menu, err := parseGrub(text)
	if err != nil {
		return nil, ownSystem{}, fmt.Errorf("parsing %q: %w", grubConf, err)
	}
	menu.envBlock = strings.Contains(text, "${env_block}")
	own := readOwnSystem(root)
	for _, item := range menu.items {
		// grub2-mkconfig names entries after the file system that it ran in.
		if uuid, ok := strings.CutPrefix(item.id, "gnulinux-simple-"); ok && len(own.roots) == 0 {
			own.add(&own.roots, "UUID="+uuid)
		}
	}
	return menu, own, nil
}

// check returns an error if an entry starts another system.
func (m *grubMenu) check(own ownSystem) error {
	if strings.HasPrefix(m.id, "osprober-") {
		return errors.New("it starts another system, which os-prober found")
	}
	return own.check(m.root, m.search)
}

// bootFile is where the running system sees a file of the boot loader: in /boot, whatever file
// system and subvolume the boot loader finds it in, or in a snapshot.
func bootFile(name string) string {
	if name == "" {
		return ""
	}
	if i := strings.Index(name, "/.snapshots/"); i >= 0 {
		return path.Clean(name[i:])
	}
	return "/boot/" + path.Base(name)
}

// grubMenu is a menu, a submenu or an entry.
type grubMenu struct {
	title, id     string
	entry         bool
	conditional   bool // only the boot loader knows whether it is shown
	items         []*grubMenu
	linux, initrd string
	root          string   // the kernel's root=
	search        string   // the UUID of the file system that holds the files
	envBlock      bool     // in the top menu: variables are also in a block outside of the file system
	defaults      []string // in the top menu: what default is set to
	elsewhere     bool     // entries are in other files, too
}

// chosen is the entry that the menu starts on its own, and the file that decides that.
func (m *grubMenu) chosen(root string) (which, source string, err error) {
	static := slices.DeleteFunc(slices.Clone(m.defaults), func(s string) bool { return strings.Trim(s, "${}") == "next_entry" })
	slices.Sort(static)
	static = slices.Compact(static)
	if m.elsewhere || len(static) != 1 {
		return "", "", fmt.Errorf("parsing %q: its default cannot be told from it alone", grubConf)
	}
	isSaved := strings.Trim(static[0], "${}") == "saved_entry"
	hasNext := len(static) < len(m.defaults)
	if strings.Contains(static[0], "$") && !isSaved {
		return "", "", fmt.Errorf("parsing %q: its default is %.100q", grubConf, static[0])
	}
	if !isSaved && !hasNext {
		return static[0], grubConf, nil
	}
	env, err := m.readEnv(root)
	if err != nil {
		return "", "", err
	}
	names := []string{"prev_saved_entry", "saved_entry"}
	if hasNext {
		names = append([]string{"next_entry"}, names...)
	}
	for _, name := range names {
		if v := env[name]; v.text != "" && (isSaved || name == "next_entry") {
			return v.text, v.source, nil
		}
	}
	if !isSaved {
		return static[0], grubConf, nil
	}
	return "0", grubConf, nil // GRUB's own default
}

// variable is a variable of GRUB, and where it was read.
type variable struct{ text, source string }

// readEnv reads the environment block, and then the one outside of the file system, as the menu
// does: GRUB cannot write to a file on btrfs.
func (m *grubMenu) readEnv(root string) (map[string]variable, error) {
	text, err := rooted.ReadFile(root, grubEnv)
	if err != nil {
		return nil, err
	}
	env := map[string]variable{}
	if err := parseGrubEnv(text, grubEnv, env); err != nil {
		return nil, err
	}
	if where := env["env_block"].text; where != "" {
		block, device, err := readEnvBlock(root, where)
		if err == nil && !m.envBlock {
			err = errors.New("the menu does not read them")
		}
		if err == nil {
			err = parseGrubEnv(block, device, env)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %q: GRUB keeps its variables outside of the file system (env_block): %w", grubEnv, err)
		}
	}
	return env, nil
}

// readEnvBlock reads sectors FIRST+COUNT of the device that holds the root file system.
func readEnvBlock(root, where string) (text, device string, err error) {
	var first, count int64
	if n, err := fmt.Sscanf(where, "%d+%d", &first, &count); n != 2 || err != nil || first < 1 || first > 1<<20 || count < 1 || count > 64 {
		return "", "", fmt.Errorf("%.100q is no block", where)
	}
	m, err := snapshot.RootMount(root)
	if err != nil {
		return "", "", err
	}
	text, err = rooted.ReadDevice(root, m.Device, first*512, int(count)*512)
	return text, m.Device, err
}

// parseGrubEnv reads an environment block into env: lines key=value, padded with #.
func parseGrubEnv(text, source string, env map[string]variable) error {
	if !strings.HasPrefix(text, "# GRUB Environment Block\n") {
		return fmt.Errorf("parsing %q: not an environment block", source)
	}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if ok && !strings.HasPrefix(line, "#") {
			env[key] = variable{strings.ReplaceAll(value, `\\`, `\`), source}
		}
	}
	return nil
}

// find finds an entry as GRUB does: by the number, title or id at each level, separated by >.
func (m *grubMenu) find(which string) (*grubMenu, error) {
	for part := range strings.SplitSeq(strings.ReplaceAll(which, ">>", "\x00"), ">") {
		i, err := m.index(strings.ReplaceAll(part, "\x00", ">"))
		if err != nil {
			return nil, err
		}
		m = m.items[i]
	}
	if !m.entry || m.linux == "" {
		return nil, errors.New("it starts no kernel by itself")
	}
	return m, nil
}

func (m *grubMenu) index(part string) (int, error) {
	i, err := strconv.Atoi(part)
	if err != nil {
		i = slices.IndexFunc(m.items, func(item *grubMenu) bool { return item.title == part || item.id == part && part != "" })
	}
	if i < 0 || i >= len(m.items) {
		return 0, fmt.Errorf("the menu has no %.200q", part)
	}
	before := m.items[i : i+1]
	if err == nil {
		before = m.items[:i+1]
	}
	if slices.ContainsFunc(before, func(item *grubMenu) bool { return item.conditional }) {
		return 0, fmt.Errorf("%.200q is in the menu under a condition", part)
	}
	return i, nil
}
