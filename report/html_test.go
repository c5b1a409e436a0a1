package report

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

// A page obeys nobody: what comes from outside is text, and nothing else.
func TestPageIsHarmless(t *testing.T) {
	for name := range scenes() {
		checkPage(t, name, renderFull(t, scenes()[name], "html", table.Style{}))
	}
	if n := len(renderFull(t, hostile(), "html", table.Style{})); n > 400<<10 {
		t.Errorf("a page with long texts has %d bytes", n)
	}
}

// A tag, and what no tag of a page has: what runs, or asks for something else.
var (
	tag  = regexp.MustCompile(`<[a-zA-Z!/][^>]*>`)
	live = regexp.MustCompile(`(?i)^<(script|link|img|iframe|object|embed|form|base)|\s(style|src|srcset|on[a-z]+)=|https?:`)
)

func checkPage(t *testing.T, name, page string) {
	t.Helper()
	if i := strings.IndexFunc(page, func(r rune) bool {
		return !strings.ContainsRune("\n\u2068\u2069", r) && (!unicode.IsPrint(r) || r == utf8.RuneError)
	}); i >= 0 {
		t.Errorf("%s: unwanted character at %d: %q", name, i, page[max(0, i-40):min(len(page), i+40)])
	}
	if strings.Count(page, "\u2068") != strings.Count(page, "\u2069") {
		t.Errorf("%s: a direction that is turned, and not back", name)
	}
	for _, tag := range tag.FindAllString(page, -1) {
		if live.MatchString(tag) {
			t.Errorf("%s: a tag that does something: %s", name, tag)
		}
	}
	for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if id, ok := strings.CutPrefix(link[1], "#"); !ok || !strings.Contains(page, `id="`+id+`"`) {
			t.Errorf("%s: a link to %q, which is not on the page", name, link[1])
		}
	}
	ids := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if ids[id[1]] {
			t.Errorf("%s: two elements are called %q", name, id[1])
		}
		ids[id[1]] = true
	}
}

// The policy of a page allows its own style, by its hash, and nothing else.
func TestPagePolicy(t *testing.T) {
	page := renderFull(t, years(), "html", table.Style{})
	_, rest, _ := strings.Cut(page, "<style>")
	css, _, ok := strings.Cut(rest, "</style>")
	if !ok || strings.Contains(css, "url(h") || strings.Contains(css, "@import") {
		t.Fatalf("style %q", css)
	}
	sum := sha256.Sum256([]byte(css))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	if !strings.Contains(html.UnescapeString(page), want) {
		t.Errorf("no policy %s", want)
	}
}

// What nobody would read to the end stops, and says so; what was asked for is not held.
func TestPageStops(t *testing.T) {
	const changes = 10_000
	f := years()
	read := 0
	f.Provenance.RowsInRecord = changes
	f.History.Rows = func(yield func(*record.HistoryRow, error) bool) {
		for i := range changes {
			if read++; !yield(change1(int64(changes-i), "2026-01-01", "upgrade", "2-1", "1-1"), nil) {
				return
			}
		}
	}
	for i := range 3000 {
		f.Exposures = append(f.Exposures, fixOf(fmt.Sprintf("CVE-2024-%d", 10000+i), "2024-01-01", "2024-01-02", "2024-01-02"))
	}
	page := renderFull(t, f, "html", table.Style{})
	if read != pageRows+1 || strings.Count(page, `<tr id="event-`) != pageRows {
		t.Errorf("%d rows read, %d shown", read, strings.Count(page, `<tr id="event-`))
	}
	for _, want := range []string{"stops at 1000 of 10000 changes on record, newest first", "And 2812 more", "1000 of 10000, newest first"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add(evil, int64(1))
	f.Add("kernel-default", int64(-1<<62))
	f.Fuzz(func(t *testing.T, text string, seconds int64) {
		r := years()
		row := change1(7, "2026-01-01", "upgrade", text, text)
		row.Package, row.Command, row.UserData = text, &text, &text
		r.History.Rows = listed([]*record.HistoryRow{row})
		r.Provenance.Host.Hostname, r.Compliance.Profile, r.Integrity.Checkpoint = text, text, text
		r.Compliance.Checks[0].Detail, r.Compliance.Checks[0].Evidence = text, []string{text}
		r.State.Installed[0].Name, r.State.CVEs, r.Latency.Worst = text, []string{text}, &seconds
		r.Timeline.Kernels[0].KernelRelease, r.Timeline.Patches[1].Module, r.Timeline.Gaps[0].Why = text, text, text
		checkPage(t, "fuzzed", renderFull(t, r, "html", table.Style{}))
		checkPlain(t, "fuzzed", renderFull(t, r, "table", table.Style{Width: 100}), 100)
	})
}
