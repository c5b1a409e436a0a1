package livepatch

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

// tree makes files below a new root; a line is "path text".
func tree(t *testing.T, lines ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, line := range lines {
		name, text, _ := strings.Cut(line, " ")
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const two = "sys/kernel/livepatch/livepatch_2_1/"

func TestLoaded(t *testing.T) {
	base := []string{two + "enabled 1", two + "transition 0"}
	patch := func(change func(*record.LoadedPatch)) []record.LoadedPatch {
		d := record.LoadedPatch{Module: "livepatch_2_1", Enabled: true, Objects: map[string]*bool{}}
		change(&d)
		return []record.LoadedPatch{d}
	}
	for name, tt := range map[string]struct {
		lines []string
		want  []record.LoadedPatch
		err   string
	}{
		"none":         {lines: []string{"sys/kernel/livepatch/.keep"}, want: []record.LoadedPatch{}},
		"older kernel": {lines: base, want: patch(func(*record.LoadedPatch) {})},
		"newer kernel": {
			lines: append(base, two+"replace 1", two+"stack_order 3", two+"vmlinux/patched 1", two+"nfs/patched 0", two+"nfs/f,1/.keep",
				"sys/module/livepatch_2_1/srcversion 0123456789ABCDEF01234567"),
			want: patch(func(d *record.LoadedPatch) {
				d.Replace, d.StackOrder, d.SrcVersion = new(true), new(3), "0123456789ABCDEF01234567"
				d.Objects = map[string]*bool{"nfs": new(false), "vmlinux": new(true)}
			}),
		},
		"objects only":   {lines: append(base, two+"vmlinux/f,1/.keep"), want: patch(func(d *record.LoadedPatch) { d.Objects = map[string]*bool{"vmlinux": nil} })},
		"no sysfs":       {err: "no such file"},
		"no livepatch":   {lines: []string{"sys/kernel/debug/.keep"}, err: ErrNoLivepatch.Error()},
		"no transition":  {lines: base[:1], err: `reading live patch "livepatch_2_1": open `},
		"no flag":        {lines: []string{two + "enabled \x1bx", two + "transition 0"}, err: `livepatch_2_1/enabled": "\x1bx\n" is neither 0 nor 1`},
		"bad replace":    {lines: append(base, two+"replace 7"), err: "neither 0 nor 1"},
		"bad order":      {lines: append(base, two+"stack_order x"), err: "is not a number"},
		"bad patched":    {lines: append(base, two+"vmlinux/patched x"), err: "neither 0 nor 1"},
		"bad srcversion": {lines: append(base, "sys/module/livepatch_2_1/srcversion a b"), err: "parsing source version"},
		"kgraft": {
			lines: []string{
				"sys/kernel/kgraft/in_progress 1", "sys/kernel/kgraft/kgraft_patch_1/state Function               Weak  State\nfoo                       0      5\nbar                       0      1",
				"sys/kernel/kgraft/kgraft_patch_1/replace_all 1",
			},
			want: []record.LoadedPatch{{Module: "kgraft_patch_1", Enabled: true, Transition: true, Replace: new(true), KGraft: true, Objects: map[string]*bool{}}},
		},
		"kgraft reverted": {
			lines: []string{"sys/kernel/kgraft/in_progress 0", "sys/kernel/kgraft/kgraft_patch_1/state Function Weak State\nfoo 0 4"},
			want:  []record.LoadedPatch{{Module: "kgraft_patch_1", KGraft: true, Objects: map[string]*bool{}}},
		},
		"kgraft without state":     {lines: []string{"sys/kernel/kgraft/in_progress 0", "sys/kernel/kgraft/p/refs 0"}, err: "state: no such file"},
		"kgraft without functions": {lines: []string{"sys/kernel/kgraft/in_progress 0", "sys/kernel/kgraft/p/state Function Weak State"}, err: "no function"},
		"kgraft with nonsense":     {lines: []string{"sys/kernel/kgraft/in_progress 0", "sys/kernel/kgraft/p/state x\ny"}, err: "is not a state of a function"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Loaded(tree(t, tt.lines...))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadedOfWhatIsNoSysfs(t *testing.T) {
	root := tree(t, two+"transition 0")
	if err := syscall.Mkfifo(filepath.Join(root, two, "enabled"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := Loaded(root); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v, %v", got, err)
	}
	root = tree(t, "sys/kernel/kgraft/in_progress 0", "sys/kernel/kgraft/name/state f w s\nf 0 2")
	if err := os.Symlink("../../../module/kgraft_patch_1_1", filepath.Join(root, "sys/kernel/kgraft/name/owner")); err != nil {
		t.Fatal(err)
	}
	if got, err := Loaded(root); err != nil || got[0].Module != "kgraft_patch_1_1" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestActive(t *testing.T) {
	old, young := record.LoadedPatch{Module: "livepatch_1_1", Enabled: true}, record.LoadedPatch{Module: "livepatch_2_1", Enabled: true, Transition: true}
	for name, tt := range map[string]struct {
		patches []record.LoadedPatch
		want    string
	}{
		"none":                 {},
		"one":                  {[]record.LoadedPatch{old}, "livepatch_1_1"},
		"one replaces another": {[]record.LoadedPatch{old, young}, "livepatch_2_1"},
		"in another order":     {[]record.LoadedPatch{young, old}, "livepatch_2_1"},
		"being disabled":       {[]record.LoadedPatch{{Module: "p", Transition: true}}, ""},
	} {
		got := ""
		if p := Active(tt.patches); p != nil {
			got = p.Module
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
