package observe

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/internal/rooted/rootedtest"
	"github.com/klp-audit/klp-audit/record"
)

// machine makes the files of a machine below a new root.
var machine = rootedtest.Tree

// with returns the files plus more of them: names and texts in turn.
var with = rootedtest.With

// want compares an answer with the expected one: an error that contains wantErr, or want.
func want[T any](t *testing.T, got T, err error, want T, wantErr string) {
	t.Helper()
	rootedtest.Want(t, got, err, want, wantErr)
}

func TestClock(t *testing.T) {
	when := time.Date(2026, 5, 13, 9, 34, 13, 0, time.UTC)
	timesync, drift := "run/systemd/timesync/synchronized", "var/lib/chrony/drift"
	for name, tt := range map[string]struct {
		files  map[string]string
		status *int32
		want   record.Clock
		err    string
	}{
		"kernel says yes": {status: new(int32(unix.STA_PLL)), want: record.Clock{Synced: "yes", Source: "adjtimex"}},
		"kernel says no":  {files: map[string]string{timesync: ""}, status: new(int32(unix.STA_UNSYNC)), want: record.Clock{Synced: "no", Source: "adjtimex", LastSync: &when, LastFile: "/" + timesync}},
		"chronyd need not tell": {
			files: map[string]string{"run/chrony/x": "", drift: "x"}, status: new(int32(unix.STA_UNSYNC)),
			want: record.Clock{Synced: "unknown", Source: "adjtimex, /run/chrony", LastSync: &when, LastFile: "/" + drift},
		},
		"another system": {files: map[string]string{drift: ""}, want: record.Clock{Synced: "unknown", Source: "", LastSync: &when, LastFile: "/" + drift}},
		"a circle":       {files: map[string]string{drift: "-> drift"}, err: "too many levels"},
	} {
		t.Run(name, func(t *testing.T) {
			root := machine(t, tt.files)
			for _, name := range []string{timesync, drift} {
				_ = os.Chtimes(filepath.Join(root, name), when, when) // those that exist
			}
			got, err := clock(root, tt.status)
			want(t, got, err, tt.want, tt.err)
		})
	}
	if got, err := ClockSync(t.TempDir()); err != nil || got.Synced != "unknown" {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := ClockSync("/"); err != nil || got.Source == "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestJournalStorage(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	base := map[string]string{"etc/machine-id": id + "\n"}
	for name, tt := range map[string]struct {
		files map[string]string
		want  record.JournalStorage
		err   string
	}{
		"default": {files: with(base, "run/log/journal/"+id+"/system.journal", ""), want: record.JournalStorage{Setting: "auto", Kept: "volatile", Volatile: true}},
		"folder":  {files: with(base, "var/log/journal/"+id+"/x", ""), want: record.JournalStorage{Setting: "auto", Kept: "persistent", Persistent: true}},
		"another machine's": {
			files: with(base, "var/log/journal/x/y", "", "etc/systemd/journald.conf", "Storage=none\n[Journal]\n#Storage=none\n[Other]\nStorage=none\n"),
			want:  record.JournalStorage{Setting: "auto", Kept: "persistent"},
		},
		"fragments": {
			files: with(base, "usr/lib/systemd/journald.conf", "[Journal]\nStorage=none\n", "etc/systemd/journald.conf", "[Journal]\nStorage=persistent\n",
				"usr/lib/systemd/journald.conf.d/20-vendor.conf", "[Journal]\nStorage=none\n", "run/systemd/journald.conf.d/10-a.conf", "[Journal]\nStorage=none",
				"etc/systemd/journald.conf.d/20-vendor.conf", "[Journal]\n Storage = volatile \n"),
			want: record.JournalStorage{Setting: "volatile", File: "/etc/systemd/journald.conf.d/20-vendor.conf", Kept: "volatile"},
		},
		"no machine id":      {err: "machine-id: no such file"},
		"not a machine id":   {files: map[string]string{"etc/machine-id": "uninitialized\n"}, err: `parsing "/etc/machine-id": "uninitialized" is not a machine id`},
		"unknown setting":    {files: with(base, "etc/systemd/journald.conf", "[Journal]\nStorage=\x1b\n"), err: `parsing "/etc/systemd/journald.conf": unknown Storage "\x1b"`},
		"an empty setting":   {files: with(base, "etc/systemd/journald.conf", "[Journal]\nStorage=persistent\nStorage=\n"), err: `unknown Storage ""`},
		"a key alone":        {files: with(base, "etc/systemd/journald.conf", "[Journal]\nStorage=none\nStorage\n"), err: `unknown Storage ""`},
		"corrected later":    {files: with(base, "etc/systemd/journald.conf", "[Journal]\nStorage=bogus\nStorage=auto\n"), err: `unknown Storage "bogus"`},
		"another section":    {files: with(base, "etc/systemd/journald.conf", "[ Journal ]\nStorage=none\n[Journal\nStorage=none\n"), want: record.JournalStorage{Setting: "auto", Kept: "volatile"}},
		"a FIFO":             {files: with(base, "etc/systemd/journald.conf", "fifo"), err: "not a regular file"},
		"a circle":           {files: with(base, "etc/systemd/journald.conf", "-> journald.conf"), err: "too many levels"},
		"a file as a folder": {files: with(base, "etc/systemd/journald.conf.d", ""), err: "not a directory"},
		"a circle of logs":   {files: with(base, "var/log/journal", "-> journal"), err: "too many levels"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := JournalStorage(machine(t, tt.files))
			want(t, got, err, tt.want, tt.err)
		})
	}
}

func TestOwnFiles(t *testing.T) {
	root := machine(t, map[string]string{
		"usr/bin/klp-audit": "program", "usr/lib/zypper/commands/zypper-klp-audit": "-> ../../../bin/klp-audit", "var/lib/klp-audit/key": "secret",
		"etc/klp-audit/klp-audit.toml.d/10.toml": "", "etc/klp-audit/klp-audit.toml": "fifo",
	})
	if err := os.Chmod(filepath.Join(root, "usr/bin/klp-audit"), 0o4755|fs.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	files, err := OwnFiles(root, true)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]record.OwnFile{}
	for _, f := range files {
		got[f.Path] = f
	}
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	for _, f := range []record.OwnFile{
		{Path: "/usr/bin/klp-audit", There: true, Type: "file", Mode: "4755", UID: uid, GID: gid, Target: "", SHA256: "1310ca2c8932dbd118668bd97442558a3e1f546b5e15c69699dfbd6024f548d8"},
		{Path: "/usr/lib/zypper/commands/zypper-klp-audit", There: true, Type: "link", Mode: "0777", UID: uid, GID: gid, Target: "../../../bin/klp-audit", SHA256: ""},
		{Path: "/var/lib/klp-audit", There: true, Type: "directory", Mode: "0755", UID: uid, GID: gid, Target: "", SHA256: ""},
		{Path: "/var/lib/klp-audit/key", There: true, Type: "file", Mode: "0644", UID: uid, GID: gid, Target: "", SHA256: ""},
		{Path: "/var/lib/klp-audit/klp-audit.db", There: false, Type: "", Mode: "", UID: 0, GID: 0, Target: "", SHA256: ""},
		{Path: "/etc/klp-audit/klp-audit.toml", There: true, Type: "other", Mode: "0644", UID: uid, GID: gid, Target: "", SHA256: ""},
		{Path: "/etc/klp-audit/klp-audit.toml.d/10.toml", There: true, Type: "file", Mode: "0644", UID: uid, GID: gid, Target: "", SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	} {
		if diff := cmp.Diff(f, got[f.Path]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if len(files) != 22 {
		t.Errorf("%d files", len(files))
	}
	for i := range files {
		files[i].SHA256 = ""
	}
	quick, err := OwnFiles(root, false)
	if diff := cmp.Diff(files, quick); err != nil || diff != "" {
		t.Errorf("without digests: %v (-want +got):\n%s", err, diff)
	}
}

func TestOwnFilesThatCannotBeRead(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"not a directory": {"etc/klp-audit/klp-audit.toml.d": ""},
		"too many levels": {"usr/bin": "-> bin"},
	} {
		if got, err := OwnFiles(machine(t, files), true); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, %v, want %s", got, err, name)
		}
	}
	root := machine(t, map[string]string{"usr/bin/klp-audit": ""})
	if err := os.Truncate(filepath.Join(root, "usr/bin/klp-audit"), maxOwnFile+1); err != nil {
		t.Fatal(err)
	}
	if got, err := OwnFiles(root, true); err == nil || !strings.Contains(err.Error(), `reading "/usr/bin/klp-audit": larger`) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSystem(t *testing.T) {
	const mounts, release = "proc/1/mountinfo", "etc/os-release"
	sles := map[string]string{
		release: "NAME=\"SLES\"\nPRETTY_NAME=\"SUSE \\\"Linux\\\" Enterprise Server 15 SP6\"\n",
		mounts: "1 1 0:2 / / rw - rootfs rootfs rw\n" +
			"62 1 0:33 /@/.snapshots/2/snapshot / rw,relatime shared:1 - btrfs /dev/vda2 rw,space_cache,subvol=/@/.snapshots/2/snapshot\n" +
			"63 62 0:5 / /proc rw shared:2 - proc proc rw\n",
	}
	for name, tt := range map[string]struct {
		files map[string]string
		want  record.System
		err   string
	}{
		"SLES": {files: sles, want: record.System{PrettyName: `SUSE "Linux" Enterprise Server 15 SP6`, RootSubvolume: "/@/.snapshots/2/snapshot", Snapshot: new(2)}},
		"Micro": {
			files: with(sles, "usr/sbin/transactional-update", "", mounts, "62 1 0:33 /@/.snapshots/7/snapshot / ro,relatime - btrfs /dev/vda2 rw\n"),
			want:  record.System{PrettyName: `SUSE "Linux" Enterprise Server 15 SP6`, Transactional: true, ReadOnlyRoot: true, RootSubvolume: "/@/.snapshots/7/snapshot", Snapshot: new(7)},
		},
		"plain file system": {
			files: map[string]string{release: "-> ../usr/lib/os-release", "usr/lib/os-release": "PRETTY_NAME=X", mounts: `62 1 8:2 /a\040b / rw - ext4 /dev/sda2 ro,errors=continue`},
			want:  record.System{PrettyName: "X", ReadOnlyRoot: true, RootSubvolume: "/a b"},
		},
		"vendor's os-release": {files: with(map[string]string{mounts: sles[mounts]}, "usr/lib/os-release", "PRETTY_NAME='Y'"), want: record.System{PrettyName: "Y", RootSubvolume: "/@/.snapshots/2/snapshot", Snapshot: new(2)}},
		"odd snapshot":        {files: with(sles, mounts, "62 1 0:33 /@/.snapshots/x/snapshot / rw - btrfs /dev/vda2 rw"), want: record.System{PrettyName: `SUSE "Linux" Enterprise Server 15 SP6`, RootSubvolume: "/@/.snapshots/x/snapshot"}},
		"no os-release":       {files: map[string]string{mounts: sles[mounts]}, err: "os-release: no such file"},
		"no name":             {files: with(sles, release, "\x7fELF"), err: "parsing os-release"},
		"no mounts":           {files: map[string]string{release: sles[release]}, err: "mountinfo: no such file"},
		"no root":             {files: with(sles, mounts, "63 62 0:5 / /proc rw shared:2 - proc proc rw\n"), err: `parsing "/proc/1/mountinfo": no root directory`},
		"not a mount":         {files: with(sles, mounts, "x\x00"), err: "is not a mount"},
		"a FIFO":              {files: with(sles, release, "fifo"), err: "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := System(machine(t, tt.files))
			want(t, got, err, tt.want, tt.err)
		})
	}
}
