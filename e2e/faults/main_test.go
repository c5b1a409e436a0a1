// Package faults tests what happens to the record when something around it fails: the disk,
// the permissions, the clock, other programs, or the power.
//
// In each test the real programs run in an overlay of this machine, and a fault is made:
// with a small or read-only file system, by strace, or with a signal. Afterwards the same must
// always be true: every frame of libzypp was acknowledged; each event is in the record, in the
// spool or in the journal, and exactly once after the next writer has run; verify correctly says
// intact, altered or truncated; and messages say what is wrong with what, and what to do.
//
// All faults, and the tests that cover them. Tests without a package name are here.
//
//	disk full at each write         TestDiskFull, TestDiskFullAtFirst, TestDiskFullOfCommands; with zypper: e2e TestNoRoomAnywhere
//	read-only file system           TestReadOnly
//	no permission                   TestNoPermission
//	fsync error                     TestSyncFails
//	kill -9: append                 cmd/klp-audit-plugin TestKilledAtAnyMoment
//	kill -9: the rest               TestKilledRebuild, TestKilledImport, TestKilledPrune, TestKilledSpoolIntake
//	power cut                       TestPowerCut
//	two plugins at once             TestPluginsAtOnce
//	ten observers at once           TestObserversAtOnce
//	reader for 60 s                 TestReaderHoldsTheRecord, e2e TestZypper/held by a reader; a writer: e2e TestZypper/locked database
//	100,000 steps in a commit       TestManySteps
//	a spool that waits              TestSpoolThatWaits
//	a FIFO in place of a file       TestOddFiles, TestOddFilesInTheSpool
//	hot journal, no permission      TestHotJournal; store TestWriterThatDiedIsRepairedByTheNext
//	clock set                       TestClockSet; store TestSpoolKeepsItsOrder
//	database of a newer version     TestNewerRecord; store TestReaderRefuses
//	bit flips in tables and pages   store TestAlteredRecords, TestEveryAlteredByteIsFound, TestUnreadablePagesAreNotIntact
//	truncated database              store TestAlteredRecords, TestReaderRefuses
//	replaced database               TestOlderRecordInItsPlace, TestOtherRecordInItsPlace, TestRecordReplacedInACommit; store TestLostRecord
//	deleted tail                    store TestTampering, TestNewSignatureDoesNotMakeGood
//	re-signed rewrite               TestRewrittenRecord; store TestEarlierCheckpoint, TestWhatTheRecordAloneCannotShow
//	missing key                     TestMissingKey; store TestUnusableKeyIsReplaced, TestKeyThatCannotBeOpened
//	symlinks and foreign owners     TestForeignFolders
//	2 MiB of command line, 1 MiB of environment   TestHugeProcess
package faults

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	// wanted names the variable that enables these tests: they need root.
	wanted = "KLP_AUDIT_E2E"
	// apart marks the run that has its own mount namespace.
	apart = "KLP_AUDIT_FAULTS_APART"
)

// template is the lower layer of all machines: the programs, and an empty rpm database.
var template string

// TestMain gives the run its own mounts, which disappear with it however it ends.
func TestMain(m *testing.M) {
	if os.Getenv(wanted) != "1" {
		os.Exit(m.Run())
	}
	if os.Getenv(apart) == "" {
		fmt.Fprintln(os.Stderr, "faults:", moveApart())
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "klp-audit-faults-")
	if err != nil {
		log.Fatal(err)
	}
	// The layers of an overlay must not be inside each other.
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		log.Fatal(err)
	}
	template = dir
	code := 1
	if err := makeTemplate(); err != nil {
		log.Print(err)
	} else {
		code = m.Run()
	}
	syscall.Unmount(dir, syscall.MNT_DETACH)
	os.Remove(dir)
	os.Exit(code)
}

// moveApart replaces this process by itself under apart.sh; it returns only on failure.
func moveApart() error {
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "the rights of root")
	}
	for _, program := range []string{"rpm", "strace", "sqlite3", "unshare", "go"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if missing != nil {
		return fmt.Errorf("these tests need %s", strings.Join(missing, ", "))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	const script = "../apart.sh"
	return syscall.Exec(script, append([]string{script, self}, os.Args[1:]...), append(os.Environ(), apart+"=1"))
}

// makeTemplate builds the programs, and puts empty folders over those of this machine whose content
// differs between machines.
func makeTemplate() error {
	for _, name := range []string{"/var/lib/rpm", "/var/log/journal", "/var/log/zypp", filepath.Dir(pluginPath), "/lab"} {
		if err := os.MkdirAll(template+name, 0o755); err != nil {
			return err
		}
		// This hides what is in the lower layer (Documentation/filesystems/overlayfs.rst).
		if err := syscall.Setxattr(template+name, "trusted.overlay.opaque", []byte("y"), 0); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		// Debian's rpm expects root's database in the home folder, unlike libzypp.
		"/etc/rpm/macros.lab": "%_dbpath /var/lib/rpm\n",
		"/etc/machine-id":     "0123456789abcdef0123456789abcdef\n",
	} {
		if err := os.MkdirAll(filepath.Dir(template+name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(template+name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	build := exec.Command("make", "-s", "-C", "../..", "build", "OUT="+template+"/lab") // as they are shipped
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w\n%s", err, out)
	}
	for name, path := range map[string]string{"/lab/klp-audit-plugin": pluginPath, "/lab/klp-audit-recorder": recorderPath} {
		if err := os.MkdirAll(filepath.Dir(template+path), 0o755); err != nil {
			return err
		}
		if err := os.Rename(template+name, template+path); err != nil {
			return err
		}
	}
	rpm := exec.Command("rpm", "--dbpath", template+"/var/lib/rpm", "--initdb")
	if out, err := rpm.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", rpm, err, out)
	}
	return nil
}
