#!/bin/sh
# Runs the tests of packages as programs of another architecture: run.sh ARCH PACKAGE…, as root,
# with build tags in $TAGS. qemu runs them, with the libraries of a Debian tree for that
# architecture; programs that they start, such as rpm, are this machine's own.
set -eu

arch=$1
# What qemu cannot do: a program that looks at its parent sees qemu. Before its release 8 it
# does not start /proc/self/exe, and gives programs of s390x the times of files without their
# fractions of a second.
skip='TestInspectNamesTheRealParent|TestReaderNeedsNoWritePermission|TestWriterThatDiedIsRepairedByTheNext'
# As ppc64le, qemu 7 and Go 1.26 lose a goroutine's state when memory is collected while a test in a
# synctest bubble prints a summary: the runtime faults in a method that the compiler made. Versions
# before this one did, too; without a collection the test passes.
# What takes minutes there and says nothing of an architecture: random records and damage by the
# hundred, each byte or cut of a text, forgeries by many ways, and races against limits of time. This
# machine's own run of the tests has them; single records that are altered are tried here, too.
slow='TestAlteredRecords|TestAnswers.*|TestCutAnywhere|TestExportSince|TestImportChangesNoState|TestStateChecks'
slow="$slow|TestRecordChecks|TestChecksOfTheExamples|TestOneAnswerForAMoment|TestFixesOfAPeriodAreThoseOfTheRecord|TestPruneChangesNoAnswer"
slow="$slow|TestReportOfWhatWasKnownStays|TestEveryAlteredByteIsFound|TestNoSignatureMakesAForgeryGood|TestVersionHidesNothing"
slow="$slow|TestStateDoesNotChangeLater|TestStateIsNeverWrong|TestTwoAtOnce|TestVerifyWhileEventsGo"
case $arch in
s390x) debian=s390x triplet=s390x-linux-gnu loader=ld64.so.1 skip="$skip|TestReadDescribesTheFile" ;;
ppc64le) debian=ppc64el triplet=powerpc64le-linux-gnu loader=ld64.so.2 skip="$skip|TestKnownAtStays" ;;
*) echo "run.sh: s390x and ppc64le can be tried, not $arch" >&2; exit 1 ;;
esac
cd "$(dirname "$0")/../.."

# All that is mounted is so until this mount namespace ends.
if [ -z "${KLP_AUDIT_APART:-}" ]; then
	exec env KLP_AUDIT_APART=1 unshare -m --propagation private -- "$0" "$@"
fi
# Tests start themselves again, so the kernel must know who runs such programs. Where it does
# not know already, it does until this namespace ends (before Linux 6.7: until a reboot).
formats=/proc/sys/fs/binfmt_misc
[ -e "$formats/register" ] || mount -t binfmt_misc binfmt_misc "$formats"
[ -e "$formats/qemu-$arch" ] || cat "/usr/lib/binfmt.d/qemu-$arch.conf" >"$formats/register"
shift

# The same release as that of the compiler's C library.
# shellcheck disable=SC1091
. /etc/os-release
tree=$VERSION_CODENAME-$arch
e2e/tree.sh "$tree" "$VERSION_CODENAME" libsystemd0 "--arch=$debian" --foreign
libraries=${KLP_AUDIT_CACHE:-/var/cache/klp-audit}/$tree/usr/lib/$triplet

# What tests write goes to memory: nobody waits for a disk. What Go builds does not. The folder is
# that of other runs, for Go keeps a test's result for the environment that it had.
export GOTMPDIR="${GOTMPDIR:-${TMPDIR:-/tmp}}"
memory=${KLP_AUDIT_CACHE:-/var/cache/klp-audit}/$arch.tmp
mkdir -p "$memory"
mount -t tmpfs tmpfs "$memory"
export TMPDIR="$memory"

# Records go from one architecture to the other, which takes the same tests as a program of
# this machine.
go test -c -tags "$TAGS" -o "$memory/arch.test" ./e2e/arch

# Where the libraries are is written into the programs, for what tests start may have another
# environment. An RPATH, not a RUNPATH: libsystemd is loaded at run time, and needs others.
link="-Wl,--dynamic-linker=$libraries/$loader,--disable-new-dtags,-rpath,$libraries"
echo "run.sh: $arch, without $skip, which qemu cannot run, and $slow, which take long"
KLP_AUDIT_OTHER=$memory/arch.test CGO_ENABLED=1 GOARCH=$arch CC=$triplet-gcc \
	go test -vet=off -short -timeout 20m -tags "$TAGS" -skip "^($skip|$slow)\$" \
	-ldflags "-s -w -linkmode=external -extldflags '$link'" "$@" ./e2e/arch
# The plugin itself is static, and begins in assembler.
go test -run "^TestEntryElsewhere\$/^$arch\$" ./cmd/klp-audit-plugin
