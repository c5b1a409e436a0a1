package browser

import (
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages are reports as files: those of whole records, those that the tests of the package report keep, and one
// with more than a page shows.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := records(t)
	all["crowd"] = crowd(t)
	css, err := os.ReadFile("../../report/page/report.css")
	check(t, err)
	for _, name := range []string{"years", "fresh", "empty", "hostile", "altered", "history-alone", "compliance-alone", "state-alone", "cve-alone"} {
		page, err := os.ReadFile("../../report/testdata/full-" + name + ".html")
		check(t, err)
		all[name] = written(t, strings.Replace(string(page), "/* report.css */", string(css), 1))
	}
	return all
}

// written is a page that a test makes up.
func written(t *testing.T, html string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.html")
	check(t, os.WriteFile(path, []byte(html), 0o644))
	return path
}

// The page is one file: nothing else is asked for, nothing runs, and nothing is refused.
func TestPageNeedsNothing(t *testing.T) {
	c := start(t)
	for name, path := range pages(t) {
		for _, trouble := range c.open(path, desktop).trouble(path) {
			t.Errorf("%s: %s", name, trouble)
		}
	}
	// The test can fail.
	path := written(t, `<!DOCTYPE html><title>x</title><img src="http://example.com/x.png"><script>console.log(1)</script>`)
	if got := strings.Join(c.open(path, desktop).trouble(path), "\n"); !strings.Contains(got, "http://example.com/x.png") || !strings.Contains(got, "consoleAPI") {
		t.Errorf("a page that asks for an image and runs a script: %q", got)
	}
	// The policy of a page holds: what somebody smuggled in would not run.
	b, err := os.ReadFile(pages(t)["fresh"])
	check(t, err)
	path = written(t, strings.Replace(string(b), "<main>", `<main><script>console.log(1)</script><img src="http://example.com/x.png">`, 1))
	got := strings.Join(c.open(path, desktop).trouble(path), "\n")
	if strings.Contains(got, "consoleAPI") || !strings.Contains(got, "Content Security Policy") {
		t.Errorf("what was smuggled in: %q", got)
	}
}

// Everybody can read the page, in the light and in the dark.
func TestPageIsAccessible(t *testing.T) {
	c, script := start(t), axe(t)
	for name, path := range pages(t) {
		for _, v := range []view{desktop, desktop.inTheDark(), phone, phone.inTheDark()} {
			if v != desktop && (name == "crowd" || testing.Short() && !slices.Contains([]string{"usual", "empty-record", "messy"}, name)) { // it takes minutes
				continue
			}
			p := c.open(path, v)
			p.eval(`document.querySelectorAll("details").forEach(d => d.open = true)`, nil)
			for _, found := range p.violations(script) {
				t.Errorf("%s on %s: %s (%s): %s: %d times, first %s\n%s", name, v.name, found.ID, found.Impact, found.Help, len(found.Nodes), found.Nodes[0].HTML, found.Nodes[0].FailureSummary)
			}
		}
	}
	if found := c.open(written(t, `<p style="color: #ccc">pale</p>`), desktop).violations(script); len(found) < 3 {
		t.Errorf("a page with faults: %v", found)
	}
}

// sticksOut lists what is wider than what it stands in. What scrolls by itself may be, on a
// screen.
const sticksOut = `(() => {
	const wide = [], limit = document.documentElement.clientWidth + 1;
	if (document.documentElement.scrollWidth > limit) wide.push("the page: " + document.documentElement.scrollWidth);
	for (const e of document.querySelectorAll("table, caption, th, td, dd, li, p, pre, h1, h2, h3, svg")) {
		if (e.closest(".scroll") && getComputedStyle(e.closest(".scroll")).overflowX == "auto" || e.closest(".symbols")) continue;
		const r = e.getBoundingClientRect();
		if (r.right > limit || r.left < -1 || e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display != "inline")
			wide.push(e.tagName + " " + Math.round(r.left) + " to " + Math.round(r.right) + " of " + limit + ": " + e.textContent.slice(0, 60));
	}
	return wide.slice(0, 10);
})()`

// broken lists names, numbers and dates that do not stand on one line.
const broken = `[...document.querySelectorAll(".short, .word")].filter(e => e.getClientRects().length > 1 && !e.closest(".key, .findings")).map(e => e.textContent)`

// A package with its version, a CVE number and a date stand on one line, on a desktop's screen and on paper; on a
// phone names may break where a table does not scroll.
func TestNamesAreNotBroken(t *testing.T) {
	c, all := start(t), pages(t)
	for _, name := range []string{"usual", "messy", "history-alone"} {
		path := all[name]
		for _, v := range []view{desktop, paper} {
			var list []string
			p := c.open(path, v)
			p.eval(broken, &list)
			if len(list) > 0 {
				t.Errorf("%s on %s: %d names are broken, such as %q", name, v.name, len(list), list[0])
			}
			// Where it counts, the version stands beside the package.
			p.eval(`[...document.querySelectorAll(".changes tbody tr:not(.commit) td:nth-child(2)")].filter(td => td.querySelectorAll("bdi")[0].getBoundingClientRect().top != td.querySelectorAll("bdi")[1].getBoundingClientRect().top).map(td => td.textContent)`, &list)
			if len(list) > 0 {
				t.Errorf("%s on %s: a version below its package: %q", name, v.name, list[0])
			}
		}
	}
	var list []string
	if c.open(written(t, `<p style="width: 5em"><span class="word">kernel-livepatch-6_4_0-default</span>`), paper).eval(broken, &list); len(list) != 1 {
		t.Errorf("a name on two lines: %q", list)
	}
}

// No text is cut off, neither on a screen nor on paper.
func TestNothingSticksOut(t *testing.T) {
	c := start(t)
	for name, path := range pages(t) {
		for _, v := range []view{desktop, phone, paper} {
			var wide []string
			c.open(path, v).eval(sticksOut, &wide)
			for _, w := range wide {
				t.Errorf("%s on %s: %s", name, v.name, w)
			}
		}
	}
	var wide []string
	if c.open(written(t, `<table><td>`+strings.Repeat("wide", 500)+`</table>`), paper).eval(sticksOut, &wide); len(wide) == 0 {
		t.Error("a wide table does not stick out")
	}
}

// sheet is a page of a PDF with its words, as pdftotext -bbox has them.
type sheet struct {
	Width float64 `xml:"width,attr"`
	Words []struct {
		Left  float64 `xml:"xMin,attr"`
		Right float64 `xml:"xMax,attr"`
		Text  string  `xml:",chardata"`
	} `xml:"word"`
}

func (s sheet) text() string {
	var words []string
	for _, w := range s.Words {
		words = append(words, w.Text)
	}
	return strings.Join(words, " ")
}

// maxSheets is how many sheets the report of the messy record may have.
const maxSheets = 15

// Printed, the first sheet has the verdict and nothing of the second section, every row is
// there, and all words are within the margins. What is altered says so on every sheet.
func TestPrinted(t *testing.T) {
	c := start(t)
	for name, path := range pages(t) {
		p := c.open(path, desktop)
		sheets := printed(t, p)
		whole := !strings.HasSuffix(name, "-alone")
		for _, want := range []string{"Kernel live patch audit", "Scope.", "Provenance"} {
			if whole && name != "hostile" && !strings.Contains(sheets[0].text(), want) {
				t.Errorf("%s: the first sheet does not say %q", name, want)
			}
		}
		begin := map[string]string{"altered": "Not intact: this report proves nothing "}[name]
		for i, sheet := range sheets {
			if !strings.HasPrefix(sheet.text(), begin) {
				t.Errorf("%s: sheet %d begins with %.80q", name, i+1, sheet.text())
			}
		}
		if whole && name != "hostile" && !strings.HasPrefix(sheets[1].text(), begin+"Open fixes") {
			t.Errorf("%s: the second sheet begins with %.80q", name, sheets[1].text())
		}
		if name == "messy" && len(sheets) > maxSheets {
			t.Errorf("%d sheets, want %d at most", len(sheets), maxSheets)
		}
		checkWords(t, name, sheets)
		checkRows(t, name, p, sheets)
	}
}

func printed(t *testing.T, p *tab) []sheet {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.pdf")
	p.pdf(path)
	out, err := exec.Command("pdftotext", "-bbox", path, "-").Output()
	check(t, err)
	// Of what is no character in XML, pdftotext knows nothing.
	clean := regexp.MustCompile(`[\x00-\x08\x0b\x0c\x0e-\x1f]`).ReplaceAll(out, []byte("?"))
	var doc struct {
		Sheets []sheet `xml:"body>doc>page"`
	}
	check(t, xml.Unmarshal(clean, &doc))
	if len(doc.Sheets) == 0 {
		t.Fatal("no sheet")
	}
	return doc.Sheets
}

// checkWords looks whether all words are between the margins of 14 mm, 39.7 points.
func checkWords(t *testing.T, name string, sheets []sheet) {
	t.Helper()
	for i, s := range sheets {
		for _, w := range s.Words {
			if w.Left < 39 || w.Right > s.Width-39 {
				t.Errorf("%s, sheet %d: %q goes from %.0f to %.0f of %.0f", name, i+1, w.Text, w.Left, w.Right, s.Width)
			}
		}
	}
}

// checkRows looks whether each change and each check of the page is on paper.
func checkRows(t *testing.T, name string, p *tab, sheets []sheet) {
	t.Helper()
	var events []string
	p.eval(`[...document.querySelectorAll(".event")].map(e => e.textContent)`, &events)
	var all strings.Builder
	for _, s := range sheets {
		fmt.Fprintf(&all, "%s ", s.text())
	}
	var folded []string // what passes is on paper with its title alone
	p.eval(`[...document.querySelectorAll(".checks details:not([open]) summary strong")].map(e => e.textContent)`, &folded)
	for _, title := range folded {
		if !strings.Contains(all.String(), title) {
			t.Errorf("%s: %q is not on paper", name, title)
		}
	}
	if strings.HasPrefix(name, "history") || name == "usual" || name == "messy" {
		if len(events) == 0 {
			t.Errorf("%s: no changes", name)
		}
	}
	for _, e := range events {
		if !strings.Contains(all.String(), e+" ") && !strings.Contains(all.String(), e+", ") {
			t.Errorf("%s: %s is not on paper", name, e)
		}
	}
}

// The links of the contents and of the evidence lead somewhere.
func TestLinks(t *testing.T) {
	c := start(t)
	for name, path := range pages(t) {
		var dead []string
		c.open(path, desktop).eval(`[...document.querySelectorAll("a")].map(a => a.getAttribute("href")).filter(h => !h.startsWith("#") || !document.getElementById(h.slice(1)))`, &dead)
		if len(dead) > 0 {
			t.Errorf("%s: %s", name, quoted(strings.Join(dead, " ")))
		}
	}
}
