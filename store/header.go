package store

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/record"
)

// NewHeader returns the header of an event that happens now on the machine whose file tree is at
// root.
func NewHeader(kind record.EventKind, root, version string) record.Header {
	now := time.Now()
	hostname, _ := os.Hostname()
	return record.Header{
		V:          record.EventVersion,
		Kind:       kind,
		ID:         newID(now),
		Time:       record.At(now),
		UTCOffset:  now.Format("-07:00"),
		BoottimeUS: boottime().Microseconds(),
		Host:       record.Host{MachineID: readWord(root, "etc/machine-id"), Hostname: hostname},
		BootID:     strings.ReplaceAll(readWord(root, "proc/sys/kernel/random/boot_id"), "-", ""),
		Recorder:   record.Program{Program: "klp-audit", Version: version},
	}
}

// newID returns a UUIDv7 (RFC 9562): 48 bits of milliseconds, then random bits.
func newID(now time.Time) string {
	var b [16]byte
	rand.Read(b[:])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(b[:6], ms[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// boottime returns the time since boot, including suspend.
func boottime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func readWord(root, name string) string {
	text, err := readAtMost(filepath.Join(root, name), maxSmall)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(text)
}
