#!/bin/sh
# Runs the tests of packages as programs of another architecture: run.sh ARCH PACKAGE…, as root,
# with build tags in $TAGS. They run in qemu, with the libraries of a Debian tree for that
# architecture; programs that they start, such as rpm, are this machine's own.
set -eu

arch=$1
# What qemu cannot do: a program that looks at its parent sees qemu. Before version 8, qemu does not
# start /proc/self/exe, and s390x programs get file times without fractions of a second.
skip='TestInspectNamesTheRealParent|TestReaderNeedsNoWritePermission|TestWriterThatDiedIsRepairedByTheNext'
# On ppc64le with qemu 7 and Go 1.26, a goroutine's state is lost if garbage collection runs while a
# test in a synctest bubble prints a summary: the runtime crashes in a generated method. So did
# earlier versions of klp-audit; without a collection the test passes.
# What takes minutes there and does not depend on the architecture: random records and damage by the
# hundred, each byte or cut of a text, forgeries in many ways, and races against time limits. This
# machine's own tests cover them; single altered records are tested here, too.
slow='TestAlteredRecords|TestAnswers.*|TestCutAnywhere|TestExportSince|TestImportChangesNoState|TestStateChecks'
slow="$slow|TestRecordChecks|TestChecksOfTheExamples|TestOneAnswerForAMoment|TestFixesOfAPeriodAreThoseOfTheRecord|TestPruneChangesNoAnswer"
slow="$slow|TestReportOfWhatWasKnownStays|TestEveryAlteredByteIsFound|TestNoSignatureMakesAForgeryGood|TestVersionHidesNothing"
slow="$slow|TestStateDoesNotChangeLater|TestStateIsNeverWrong|TestTwoAtOnce|TestVerifyWhileEventsGo"
case $arch in
s390x) debian=s390x triplet=s390x-linux-gnu loader=ld64.so.1 skip="$skip|TestReadDescribesTheFile" ;;
ppc64le) debian=ppc64el triplet=powerpc64le-linux-gnu loader=ld64.so.2 skip="$skip|TestKnownAtStays" ;;
*) echo "run.sh: only s390x and ppc64le can be tested, not $arch" >&2; exit 1 ;;
esac
cd "$(dirname "$0")/../.."

# All mounts end with this mount namespace.
if [ -z "${KLP_AUDIT_APART:-}" ]; then
	exec env KLP_AUDIT_APART=1 unshare -m --propagation private -- "$0" "$@"
fi
# Tests start themselves again, so the kernel must know which interpreter runs such programs. If it
# did not know before, it does until this namespace ends (before Linux 6.7: until a reboot).
formats=/proc/sys/fs/binfmt_misc
[ -e "$formats/register" ] || mount -t binfmt_misc binfmt_misc "$formats"
[ -e "$formats/qemu-$arch" ] || cat "/usr/lib/binfmt.d/qemu-$arch.conf" >"$formats/register"
shift

# The same release as the compiler's C library.
# shellcheck disable=SC1091
. /etc/os-release
tree=$VERSION_CODENAME-$arch
e2e/tree.sh "$tree" "$VERSION_CODENAME" libsystemd0 "--arch=$debian" --foreign
libraries=${KLP_AUDIT_CACHE:-/var/cache/klp-audit}/$tree/usr/lib/$triplet

# Tests write to memory, so that nobody waits for a disk; Go's build does not. The folder has the
# same name in all runs, because Go caches test results by environment.
export GOTMPDIR="${GOTMPDIR:-${TMPDIR:-/tmp}}"
memory=${KLP_AUDIT_CACHE:-/var/cache/klp-audit}/$arch.tmp
mkdir -p "$memory"
mount -t tmpfs tmpfs "$memory"
export TMPDIR="$memory"

# Records go from one architecture to the other; for that, this machine needs the same tests as its
# own program.
go test -c -tags "$TAGS" -o "$memory/arch.test" ./e2e/arch

# The path of the libraries is written into the programs, because programs that tests start may have
# another environment. An RPATH, not a RUNPATH: libsystemd is loaded at run time, and needs other
# libraries.
link="-Wl,--dynamic-linker=$libraries/$loader,--disable-new-dtags,-rpath,$libraries"
echo "run.sh: $arch, without $skip, which qemu cannot run, and $slow, which take long"
KLP_AUDIT_OTHER=$memory/arch.test CGO_ENABLED=1 GOARCH=$arch CC=$triplet-gcc \
	go test -vet=off -short -timeout 20m -tags "$TAGS" -skip "^($skip|$slow)\$" \
	-ldflags "-s -w -linkmode=external -extldflags '$link'" "$@" ./e2e/arch
# The plugin itself is static, and starts in assembler.
go test -run "^TestEntryElsewhere\$/^$arch\$" ./cmd/klp-audit-plugin
