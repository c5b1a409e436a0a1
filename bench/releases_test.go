package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/internal/releases"
	"github.com/klp-audit/klp-audit/record"
)

// Limits for reading what a repository offers: how many times longer than decompressing it, and how
// much memory; and how much less if nothing has changed, which takes 5 ms for the largest
// repository.
const (
	askedOfReading   = 3
	askedOfUnchanged = 0.025
	mostToRead       = 64 << 20
	readerArgument   = "read-releases"
)

// TestMain also serves as the program that only reads the repositories of a file tree, so that its
// memory can be measured.
func TestMain(m *testing.M) {
	if len(os.Args) != 3 || os.Args[1] != readerArgument {
		os.Exit(m.Run())
	}
	o, err := readReleases(context.Background(), os.Args[2], releases.Before{})
	if err == nil && len(o.Advisories) == 0 {
		err = fmt.Errorf("no advisories: %+v", o.Repositories)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func readReleases(ctx context.Context, root string, before releases.Before) (*releases.Offer, error) {
	return releases.Read(ctx, root, offeredTo(), before)
}

// offeredTo are two kernels with their live patches.
func offeredTo() (list []record.Package) {
	for _, kernel := range []int{kernelsOnOffer / 2, kernelsOnOffer/2 + 1} {
		list = append(list, record.Package{Name: "kernel-default", Version: kernelOnOffer(kernel), Arch: "x86_64", Kind: record.PackageKernel, BuildTime: int64(kernel)},
			record.Package{Name: livePatch(kernel), Version: "2-150600.13.6.1", Arch: "x86_64", Kind: record.PackageLivepatch})
	}
	return list
}

// kernelsOnOffer is the largest number of kernels in a repository.
const kernelsOnOffer = 600

func kernelOnOffer(n int) string { return fmt.Sprintf("6.4.0-150600.%d.42.2", n) }

// releases compares reading a repository with decompressing it, and measures a look where nothing
// has changed.
func (b *bench) releases() {
	if !b.has("releases", "zstd") {
		return
	}
	mebibytes := []int{10, 100}
	if b.smoke {
		mebibytes = []int{2, 20}
	}
	var sizes []size
	for _, n := range mebibytes {
		sizes = append(sizes, size{fmt.Sprintf("%d MiB of updateinfo", n), n, n == 100})
	}
	exe, err := os.Executable()
	b.check(err)
	unpacking := map[int]*entrant{}
	b.grown("reading what is on offer", sizes, askedOfReading, func(n size) (*entrant, *entrant) {
		root := b.offering(n.amount)
		unpacking[n.amount] = b.shell("zstd -dc, wc -c", `zstd -q -dc "$1" | wc -c >/dev/null`, filepath.Join(root, offerFile))
		return b.command("releases.Read", exe, readerArgument, root), unpacking[n.amount]
	})
	if peak := b.rows[len(b.rows)-1].peak; peak > mostToRead {
		b.Errorf("reading what is on offer: %d MiB of memory, want at most %d", peak>>20, mostToRead>>20)
	}
	b.grown("looking at what is on offer, where nothing changed", sizes, askedOfUnchanged, func(n size) (*entrant, *entrant) {
		return b.unchanged(b.offering(n.amount)), unpacking[n.amount]
	})
}

// unchanged is an entrant that looks again at what is on record.
func (b *bench) unchanged(root string) *entrant {
	before := releases.Before{Version: version, Known: record.NewReleases(nil)}
	o, err := readReleases(b.Context(), root, before)
	b.check(err)
	var rows []record.ReleaseRow
	for _, r := range releases.News(o, nil, before.Known) {
		text, err := json.Marshal(r)
		b.check(err)
		var again record.Release
		b.check(json.Unmarshal(text, &again))
		rows = append(rows, record.ReleaseRow{Release: &again})
	}
	before.Known = record.NewReleases(rows)
	before.Repositories, before.Read = o.Repositories, o.Marks(before.Known)
	return &entrant{name: "releases.Read", run: func() sample {
		start := time.Now()
		o, err := readReleases(b.Context(), root, before)
		took := time.Since(start)
		b.check(err)
		if len(o.Advisories) > 0 || len(o.Repositories) != 1 || !o.Repositories[0].Offers {
			b.Fatalf("it was read: %+v", o.Repositories)
		}
		return sample{took, took}
	}}
}

const (
	offerCache = "var/cache/zypp/raw/updates/"
	offerFile  = offerCache + "repodata/updateinfo.xml.zst"
)

// offering is a file tree with one repository whose updateinfo has this many MiB: 100 MiB are
// 20,000 advisories, 1,500 of them for kernels and live patches.
func (b *bench) offering(mebibytes int) string {
	return b.kept(fmt.Sprintf("offering-%d", mebibytes), func(root string) {
		for name, text := range map[string]string{
			"etc/zypp/zypp.conf": "[main]\n", "etc/zypp/repos.d/updates.repo": "[updates]\nenabled=1\n",
			offerCache + "repodata/repomd.xml": `<repomd><data type="updateinfo"><location href="repodata/updateinfo.xml.zst"/></data></repomd>`,
		} {
			path := filepath.Join(root, name)
			b.check(os.MkdirAll(filepath.Dir(path), 0o755))
			b.check(os.WriteFile(path, []byte(text), 0o644))
		}
		out, err := os.Create(filepath.Join(root, offerFile))
		b.check(err)
		cmd := exec.Command("zstd", "-q", "-10")
		cmd.Stdout = out
		in, err := cmd.StdinPipe()
		b.check(err)
		b.check(cmd.Start())
		writeUpdateInfo(in, mebibytes)
		b.check(in.Close())
		b.check(cmd.Wait())
		b.check(out.Close())
	})
}

// writeUpdateInfo writes 200 advisories a MiB, always the same ones.
func writeUpdateInfo(to io.Writer, mebibytes int) {
	w := bufio.NewWriter(to)
	defer w.Flush()
	m := maker{Writer: w, Rand: rand.New(rand.NewPCG(1, 2))}
	fmt.Fprint(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<updates>\n")
	total := 200 * mebibytes
	for n := range total {
		switch kernel := n * kernelsOnOffer / total; {
		case n%40 == 0: // 500 of 20,000
			m.update(n, "the Linux Kernel", 250, []string{"kernel-default", "kernel-default-base", "kernel-default-devel", "kernel-macros", "kernel-source", "kernel-azure",
				"kernel-azure-devel", "kernel-obs-build", "kernel-syms", "kernel-docs", "reiserfs-kmp-default", "ocfs2-kmp-default", "gfs2-kmp-default"}, kernelOnOffer(kernel))
		case n%20 == 1: // 1,000 of 20,000
			m.update(n, "the Linux Kernel (Live Patch)", 8, []string{livePatch(kernel)}, fmt.Sprintf("%d-150600.13.%d.1", 2+n%12, n%12))
		default:
			name := "lib" + m.word()
			m.update(n, name, 2, []string{name, name + "-devel", name + "-32bit"}, fmt.Sprintf("%d.%d-150600.3.%d.1", m.IntN(9), m.IntN(30), n%99))
		}
	}
	fmt.Fprint(w, "</updates>\n")
}

// maker writes updates as SUSE does.
type maker struct {
	*bufio.Writer
	*rand.Rand
}

// word is one of a few thousand words.
func (m *maker) word() string {
	var b strings.Builder
	for range 2 + m.IntN(2) {
		b.WriteString([]string{"ba", "co", "du", "fe", "gi", "ho", "ju", "ke", "li", "mo", "nu", "pe", "ri", "so", "tu", "ve"}[m.IntN(16)])
	}
	return b.String()
}

func (m *maker) update(n int, about string, numbers int, packages []string, evr string) {
	version, release, _ := strings.Cut(evr, "-")
	fmt.Fprintf(m, "  <update from=\"maint-coord@suse.de\" status=\"stable\" type=\"security\" version=\"1\">\n    <id>SUSE-SLE-Module-2025-%d</id>\n"+
		"    <title>Security update for %s</title>\n    <severity>important</severity>\n    <release>Updates</release>\n    <issued date=\"%d\"/>\n    <references>\n", n, about, 1600000000+n*8000)
	for range numbers {
		cve := fmt.Sprintf("CVE-20%d-%d", 20+m.IntN(6), 20000+m.IntN(40000))
		fmt.Fprintf(m, "      <reference href=\"https://www.suse.com/security/cve/%s/\" id=\"%s\" title=\"%s\" type=\"cve\"/>\n", cve, cve, cve)
		bug := 1200000 + m.IntN(50000)
		fmt.Fprintf(m, "      <reference href=\"https://bugzilla.suse.com/%d\" id=\"%d\" title=\"VUL-0: %s: %s %s %s %s %s\" type=\"bugzilla\"/>\n", bug, bug, cve, m.word(), m.word(), m.word(), m.word(), m.word())
	}
	fmt.Fprint(m, "    </references>\n    <description>")
	for range 30 + 4*numbers {
		fmt.Fprint(m, m.word(), " ")
	}
	fmt.Fprint(m, "</description>\n    <pkglist>\n      <collection>\n")
	for _, name := range packages {
		for _, arch := range []string{"aarch64", "ppc64le", "s390x", "x86_64"} {
			fmt.Fprintf(m, "        <package name=\"%s\" epoch=\"0\" version=\"%s\" release=\"%s\" arch=\"%s\" src=\"%s-%s.src.rpm\">\n          <filename>%s-%s.%s.rpm</filename>\n        </package>\n",
				name, version, release, arch, name, evr, name, evr, arch)
		}
	}
	fmt.Fprint(m, "      </collection>\n    </pkglist>\n  </update>\n")
}
