package boot

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// wanted names the variable that enables these tests.
	wanted = "KLP_AUDIT_BOOT"
	// patience is how long a boot may take, on an emulated processor.
	patience = 10 * time.Minute
	// packages are needed by the machine, and for building live patches.
	packages = "systemd-sysv,udev,kmod,dracut-core,linux-image-amd64,linux-headers-amd64,gcc,make,rpm,zstd"
)

// machine is a machine that is powered off; dir holds its disk, its kernel and its initrd.
type machine struct {
	*testing.T
	dir     string
	release string // of the kernel
}

// buildMachine makes the machine that all others are copies of.
func buildMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{T: t, dir: t.TempDir()}
	cache := os.Getenv("KLP_AUDIT_CACHE")
	if cache == "" {
		cache = "/var/cache/klp-audit"
	}
	m.must("../tree.sh", "boot-bookworm", "bookworm", packages)
	m.must("./machine.sh", cache+"/boot-bookworm", m.dir)
	release, err := os.ReadFile(m.dir + "/release")
	if err != nil {
		t.Fatal(err)
	}
	m.release = strings.TrimSpace(string(release))
	return m
}

func (m *machine) copy(t *testing.T) *machine {
	t.Helper()
	c := &machine{T: t, dir: t.TempDir(), release: m.release}
	c.must("cp", "--sparse=always", m.dir+"/root.ext4", m.dir+"/vmlinuz", m.dir+"/initrd", c.dir)
	return c
}

// boot runs the machine, which does the acts and powers off.
func (m *machine) boot(acts string) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), patience)
	defer cancel()
	console := filepath.Join(m.dir, "console")
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024",
		"-kernel", m.dir+"/vmlinuz", "-initrd", m.dir+"/initrd", "-append", "root=/dev/vda rw console=ttyS0 panic=3 lab.acts="+acts,
		"-drive", "file="+m.dir+"/root.ext4,format=raw,if=virtio", "-nic", "none", "-no-reboot", "-display", "none", "-monitor", "none", "-serial", "file:"+console)
	start := time.Now()
	out, err := qemu.CombinedOutput()
	log, readErr := os.ReadFile(console)
	if err != nil || readErr != nil || !strings.Contains(string(log), "reboot: Power down") {
		m.Fatalf("booting: %v, %v\n%s%s", err, readErr, out, log)
	}
	m.Logf("a boot with %s took %v", acts, time.Since(start).Round(time.Second))
}

// useRebuiltInitrd takes the image from the machine's disk, as its boot loader would.
func (m *machine) useRebuiltInitrd() {
	m.Helper()
	m.must("debugfs", "-R", "dump /boot/initrd-"+m.release+" "+m.dir+"/initrd", m.dir+"/root.ext4")
}

// dump copies a directory from the machine's disk and returns its new place.
func (m *machine) dump(name string) string {
	m.Helper()
	to := m.TempDir()
	m.must("debugfs", "-R", "rdump "+name+" "+to, m.dir+"/root.ext4")
	return filepath.Join(to, filepath.Base(name))
}

// text is one of the files found in the machine.
func (m *machine) text(name string) string {
	m.Helper()
	found := m.dump("/lab/found")
	text, err := os.ReadFile(filepath.Join(found, name))
	if err != nil {
		m.Fatal(err)
	}
	if complaint, _ := os.ReadFile(filepath.Join(found, name+".err")); len(complaint) > 0 {
		m.Errorf("%s: %s", name, complaint)
	}
	return string(text)
}

// read reads such a file into v.
func (m *machine) read(name string, v any) {
	m.Helper()
	text := m.text(name)
	if err := json.Unmarshal([]byte(text), v); err != nil {
		m.Fatalf("%s: %v\n%s", name, err, text)
	}
}

// must runs one of this machine's programs.
func (m *machine) must(program string, args ...string) {
	m.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		m.Fatalf("running %s %q: %v\n%s", program, args, err, out)
	}
}
