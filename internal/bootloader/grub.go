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

// grubDefault reads the menu that grub2-mkconfig made, and the environment block with the
// entry that was saved. GRUB_DEFAULT in /etc/default/grub is where the menu has its default
// from; it has no say at boot.
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

// readGrub reads the menu, and what this system is called in it.
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
		// grub2-mkconfig calls them after the file system that it was run in.
		if uuid, ok := strings.CutPrefix(item.id, "gnulinux-simple-"); ok && len(own.roots) == 0 {
			own.add(&own.roots, "UUID="+uuid)
		}
	}
	return menu, own, nil
}

// check is an error if an entry starts another system.
func (m *grubMenu) check(own ownSystem) error {
	if strings.HasPrefix(m.id, "osprober-") {
		return errors.New("it starts another system, which os-prober found")
	}
	return own.check(m.root, m.search)
}

// bootFile is where the running system sees a file of the boot loader's: in /boot, whatever
// file system and subvolume that is for the boot loader, or in a snapshot.
func bootFile(name string) string {
	if name == "" {
		return ""
	}
	if i := strings.Index(name, "/.snapshots/"); i >= 0 {
		return path.Clean(name[i:])
	}
	return "/boot/" + path.Base(name)
}

// grubMenu is a menu, or a submenu or an entry of one.
type grubMenu struct {
	title, id     string
	entry         bool
	conditional   bool // whether it is shown depends on what only the boot loader knows
	items         []*grubMenu
	linux, initrd string
	root          string   // the kernel's root=
	search        string   // the UUID of the file system that the files are on
	envBlock      bool     // variables are in a block outside of the file system, too, of the top menu
	defaults      []string // what default is set to, of the top menu
	elsewhere     bool     // entries are in other files, too
}

// chosen is the entry that the menu starts by itself, and the file that decides.
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

// variable is one of GRUB's, and where it was read.
type variable struct{ text, source string }

// readEnv reads the environment block, and the one outside of the file system that the menu
// reads after it: GRUB cannot write to a file on btrfs.
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

// readEnvBlock reads sectors FIRST+COUNT of the device that the root file system is on.
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

// parseGrubEnv reads an environment block into env: lines key=value, filled up with #.
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

// find finds an entry as GRUB does: by the number, title or id of each level, > in between.
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

// grubParser reads a grub.cfg as far as entries and defaults go.
type grubParser struct {
	open []*grubMenu // the menu and what is open in it; nil for any other block
	ifs  int
}

func parseGrub(text string) (*grubMenu, error) {
	menu := &grubMenu{}
	p := grubParser{open: []*grubMenu{menu}}
	number := 0
	for line := range strings.Lines(text) {
		number++
		words := grubWords(line)
		if len(words) == 0 {
			continue
		}
		if err := p.line(words); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if len(p.open) > 1 {
		return nil, errors.New("a { is not closed")
	}
	return menu, nil
}

func (p *grubParser) line(words []string) error {
	current := p.open[len(p.open)-1]
	switch words[0] {
	case "}":
		if len(p.open) == 1 {
			return errors.New("a } too many")
		}
		p.open = p.open[:len(p.open)-1]
		return nil
	case "menuentry", "submenu":
		return p.begin(words)
	case "blscfg":
		p.open[0].elsewhere = true
	case "set":
		if value, ok := strings.CutPrefix(strings.Join(words[1:], " "), "default="); ok && current == p.open[0] {
			current.defaults = append(current.defaults, value)
		}
	case "linux", "linuxefi", "linux16":
		if current != nil && len(words) > 1 {
			current.linux, current.root = words[1], rootArgument(words[2:])
		}
	case "search":
		if current != nil && slices.ContainsFunc(words, func(w string) bool { return w == "--fs-uuid" || w == "-u" }) {
			current.search = words[len(words)-1]
		}
	case "initrd", "initrdefi", "initrd16":
		if current != nil {
			current.initrd = initrdOf(words[1:])
		}
	}
	p.condition(words)
	if words[len(words)-1] == "{" {
		p.open = append(p.open, nil)
	}
	return nil
}

// condition counts the conditions that the line opens and closes.
func (p *grubParser) condition(words []string) {
	command := true
	for _, word := range words {
		name := strings.TrimSuffix(word, ";")
		switch {
		case !command:
		case name == "if", name == "for", name == "while", name == "until":
			p.ifs++
		case name == "fi", name == "done":
			p.ifs--
		}
		command = strings.HasSuffix(word, ";") || command && (name == "then" || name == "else" || name == "do")
	}
}

// begin opens an entry or a submenu.
func (p *grubParser) begin(words []string) error {
	parent := p.open[len(p.open)-1]
	if parent == nil || parent.entry || len(words) < 3 || words[len(words)-1] != "{" {
		return fmt.Errorf("%s is not understood here", words[0])
	}
	if len(p.open) > 8 {
		return errors.New("submenus nested too deeply")
	}
	item := &grubMenu{title: words[1], entry: words[0] == "menuentry", conditional: p.ifs > 0}
	for i, word := range words[:len(words)-1] {
		if word == "--id" || word == "$menuentry_id_option" || word == "${menuentry_id_option}" {
			item.id = words[i+1]
		}
	}
	parent.items = append(parent.items, item)
	p.open = append(p.open, item)
	return nil
}

// initrdOf picks the initrd among the images that are loaded with it, as of microcode.
func initrdOf(files []string) string {
	for _, f := range files {
		if base := path.Base(f); strings.HasPrefix(base, "initrd") || strings.HasPrefix(base, "initramfs") {
			return f
		}
	}
	if len(files) > 0 {
		return files[len(files)-1]
	}
	return ""
}

// grubWords splits a line as GRUB's shell does. Variables stay as they are.
func grubWords(line string) (words []string) {
	var word strings.Builder
	var quote rune
	begun, escaped := false, false
	for _, r := range strings.ToValidUTF8(line, "\uFFFD") {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, begun = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, begun = r, true
		case quote == 0 && strings.ContainsRune(" \t\r\n", r):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		case quote == 0 && r == '#' && !begun:
			return words
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}
