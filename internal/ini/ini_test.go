package ini

import (
	"slices"
	"testing"
)

func TestFile(t *testing.T) {
	f := ParseZipl("a = outside\n[one]\n a = 1\n# a = 2\nb\n[ two ]\r\na=x = y\n:menu\na = m\n[one]\na = 3\n[]\na = nowhere\n")
	f.Add("a = outside, too\n[two]\nb = 4\n")
	if want := []string{"one", "two", ":menu"}; !slices.Equal(f.Sections(), want) {
		t.Errorf("sections %q, want %q", f.Sections(), want)
	}
	for _, tt := range []struct{ section, key, want string }{
		{"one", "a", "3"}, {"one", "b", ""}, {"two", "a", "x = y"}, {"two", "b", "4"}, {":menu", "a", "m"}, {"", "a", ""}, {"three", "a", ""},
	} {
		if got := f.Get(tt.section, tt.key); got != tt.want {
			t.Errorf("%s in [%s] is %q, want %q", tt.key, tt.section, got, tt.want)
		}
	}
}

// Only zipl has menus, and a key alone removes an earlier value.
func TestMenusAreOfZipl(t *testing.T) {
	const text = "[main]\n:x\ngpgcheck = off\ngpgcheck\n"
	if f := Parse(text); len(f.Sections()) != 1 || f.Get("main", "gpgcheck") != "" {
		t.Errorf("got %v, %q", f.Sections(), f.Get("main", "gpgcheck"))
	}
	if f := ParseZipl(text); len(f.Sections()) != 2 {
		t.Errorf("zipl: got %v", f.Sections())
	}
}
