// Package ini reads files with sections and lines "key = value", as libzypp and zipl use them.
package ini

import "strings"

// File is what one or more files say.
type File struct {
	menus    bool // a line ":name" starts a section, too
	sections []string
	values   map[string]map[string]string
}

// Parse reads a text.
func Parse(text string) *File {
	f := &File{values: map[string]map[string]string{}}
	f.Add(text)
	return f
}

// ParseZipl reads a text of zipl, where ":name" starts a section, too: a menu.
func ParseZipl(text string) *File {
	f := &File{menus: true, values: map[string]map[string]string{}}
	f.Add(text)
	return f
}

// Add reads another text, which starts outside of any section. Later values win.
func (f *File) Add(text string) {
	var values map[string]string // of the open section; nil: none
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := f.head(line); ok {
			values = f.open(name)
			continue
		}
		key, value, _ := strings.Cut(line, "=") // libzypp reads a key alone as an empty value
		if values != nil {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
}

// head is the name in a line that starts a section: [name], or :name.
func (f *File) head(line string) (name string, ok bool) {
	if f.menus && strings.HasPrefix(line, ":") {
		return line, true
	}
	name, _, _ = strings.Cut(strings.TrimPrefix(line, "["), "]") // libzypp's IniParser.cc: up to the first ]
	return strings.TrimSpace(name), strings.HasPrefix(line, "[")
}

func (f *File) open(name string) map[string]string {
	if name == "" {
		return nil
	}
	if f.values[name] == nil {
		f.sections = append(f.sections, name)
		f.values[name] = map[string]string{}
	}
	return f.values[name]
}

// Sections returns the names of the sections, each once, in order. The name of a menu includes the
// colon.
func (f *File) Sections() []string { return f.sections }

// Get returns the value of a key in a section, empty if there is none.
func (f *File) Get(section, key string) string { return f.values[section][key] }
