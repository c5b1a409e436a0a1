// Package ini reads files of sections and lines "key = value", as libzypp and zipl have them.
package ini

import "strings"

// File is what one or more files say.
type File struct {
	sections []string
	values   map[string]map[string]string
}

// Parse reads a text.
func Parse(text string) *File {
	f := &File{values: map[string]map[string]string{}}
	f.Add(text)
	return f
}

// Add reads another text, which begins outside of any section. What comes later wins.
func (f *File) Add(text string) {
	var values map[string]string // of the open section; nil: there is none
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := head(line); ok {
			values = f.open(name)
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if ok && values != nil {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
}

// head is the name in a line that opens a section: [name], or :name, as zipl calls a menu.
func head(line string) (name string, ok bool) {
	if strings.HasPrefix(line, ":") {
		return line, true
	}
	return strings.Trim(line, "[] \t"), strings.HasPrefix(line, "[")
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

// Sections returns the names of the sections, each once, in their order. A menu's has its colon.
func (f *File) Sections() []string { return f.sections }

// Get returns the value of a key in a section, empty if it has none.
func (f *File) Get(section, key string) string { return f.values[section][key] }
