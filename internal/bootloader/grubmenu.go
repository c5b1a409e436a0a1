package bootloader

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// grubParser reads a grub.cfg as far as entries and defaults are concerned.
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
			return errors.New("one } too many")
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

// initrdOf picks the initrd among the images that are loaded together, such as microcode.
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

// grubWords splits a line as GRUB's shell does. It does not expand variables.
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
