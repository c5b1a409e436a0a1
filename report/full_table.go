package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report/table"
)

// tableExposures is how many exposures the whole report prints on a terminal.
const tableExposures = 20

// writeFullTable prints the whole report for people, section by section.
func writeFullTable(w io.Writer, f *Full, style table.Style) error {
	style = style.Sized()
	p := printer{w: w, style: style, err: writeWarning(w, f.Provenance.Warning(), style)}
	p.verdict(f)
	for _, part := range parts() {
		if part.print != nil {
			p.heading(part.Title)
			part.print(&p, f)
		}
	}
	return p.err
}

// printer writes a report piece by piece, and stops at the first error.
type printer struct {
	w     io.Writer
	style table.Style
	err   error
}

func (p *printer) line(text string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, text)
	}
}

// text prints a text below an empty line.
func (p *printer) text(s string) {
	p.line("")
	for _, l := range table.Wrap(say.Printable(s), p.style.Width) {
		p.line(l)
	}
}

func (p *printer) heading(s string) {
	p.line("")
	p.line(p.style.Paint(strings.ToUpper(s), table.Bold))
	p.line("")
}

func (p *printer) facts(f table.Facts) {
	if p.err == nil {
		p.err = f.Write(p.w, p.style)
	}
}

func (p *printer) rows(header []string, cells [][]string) {
	if p.err == nil && len(cells) > 0 {
		all := table.Fit(append([][]string{header}, cells...), p.style) // the names of columns count, too
		p.err = table.Render(p.w, header, all[1:], p.style)
	}
}

func (p *printer) verdict(f *Full) {
	sgr := map[compliance.Rating]string{compliance.Fail: table.Red, compliance.NotDetermined: table.Yellow, compliance.Warn: table.Yellow}[f.Compliance.Verdict]
	p.line(p.style.Paint(strings.ToUpper(verdictText(f.Compliance.Verdict)), table.Bold+sgr))
	for _, l := range table.Wrap(verdictReason(f.Compliance), p.style.Width) {
		p.line(l)
	}
	p.line("")
	p.facts(append(table.Facts{{Name: "Host", Text: hostName(f.Provenance.Host)}}, keyFacts(f)...))
}

// open prints the weightiest open fixes.
func (p *printer) open(f *Full) {
	o := f.Compliance.Open
	p.block(openBlock(o))
	if more := o.Numbers - len(o.Worst); more > 0 {
		p.text(fmt.Sprintf("And %d more: klp-audit report cve has them all.", more))
	}
	if text := mayBeMore(o); text != "" && o.Numbers > 0 {
		p.text(text)
	}
	if text := f.openSeen(); text != "" {
		p.text(text)
	}
}

// block prints the rows of a block, or that there are none.
func (p *printer) block(b block) {
	if len(b.Rows) == 0 {
		for _, l := range table.Wrap(b.None, p.style.Width) {
			p.line(l)
		}
		return
	}
	var header []string
	for _, c := range b.Columns {
		header = append(header, strings.ToUpper(c.Name))
	}
	p.rows(header, b.Rows)
}

func (p *printer) state(f *Full) { p.facts(f.state()) }

func (p *printer) integrity(f *Full) {
	p.facts(integrityFacts(f.Integrity))
	p.text(integrityNote)
}

func (p *printer) provenance(f *Full) {
	p.facts(provenanceFacts(f.Provenance))
	p.text(f.Provenance.Scope)
}

func (p *printer) compliance(f *Full) {
	c := f.Compliance
	if len(c.Checks) == 0 {
		p.line("No check was made.")
	}
	if p.err == nil && len(c.Checks) > 0 {
		p.err = table.Render(p.w, checkColumns, checkCells(c, p.style.Width), p.style)
	}
}

func (p *printer) exposures(f *Full) {
	p.facts(latencyFacts(f.Latency))
	if b := quartersBlock(f.Latency); len(b.Rows) > 0 {
		p.line("")
		p.block(b)
	}
	shown, more := worthALook(f.Exposures, tableExposures)
	var cells [][]string
	for _, e := range shown {
		brought := say.Clip(e.Package+" "+e.Version, maxText)
		if e.Active != nil {
			brought += ", active " + date(e.Active)
		}
		if len(e.Events) > 0 {
			brought += " [" + eventsText(numbers(e.Events)) + "]"
		}
		cells = append(cells, []string{say.Clip(e.CVE, 20), string(e.Status), cmp.Or(latencyText(&e), duration(nil)), brought})
		if x := shownException(&e); x != nil {
			cells = append(cells, []string{"", "", "", numberText(x)})
		}
	}
	if len(cells) > 0 {
		p.line("")
	}
	p.rows([]string{"FIX", "STATUS", "LATENCY", "BROUGHT BY"}, cells)
	if more > 0 {
		p.text(fmt.Sprintf("And %d more: klp-audit report cve has them all.", more))
	}
}

func (p *printer) history(f *Full) {
	if p.err != nil {
		return
	}
	h := f.History
	var rows []*record.HistoryRow
	var more bool
	if rows, more, p.err = gathered(h); p.err == nil && len(rows) > 0 {
		p.err = renderRows(p.w, rows, p.style)
	}
	for _, note := range sourceNotes(rows) {
		p.text(note)
	}
	switch {
	case p.err == nil && more:
		p.text(stopsAt(h.Provenance))
	case p.err == nil && len(rows) == 0:
		p.line("No change is on record for what was asked.")
	}
}

func (p *printer) gaps(f *Full) {
	b := gapsBlock(f)
	if len(b.Rows) == 0 {
		p.line(b.None)
		return
	}
	var cells [][]string
	for _, row := range b.Rows {
		what := "to " + row[1] + ": " + row[2]
		if row[3] != "" {
			what += " [" + eventsText(row[3]) + "]"
		}
		cells = append(cells, []string{row[0], what})
	}
	p.rows([]string{"FROM", "WHAT"}, cells)
	p.text(b.Note)
}
