package report

import (
	"cmp"
	"slices"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/internal/say"
)

// spanRow is a span as a row.
func spanRow(s audit.Span, what, detail string) pageSpan {
	to := s.To.Short()
	if s.Open {
		to = "goes on"
	}
	return pageSpan{From: s.From.Short(), To: to, What: what, Detail: detail, Confidence: string(s.Confidence)}
}

// spanRows are boots and what was active in them, the newest first.
func spanRows(t *audit.Timeline) (rows []pageSpan) {
	for _, k := range t.Kernels {
		if k.BootID != "" {
			rows = append(rows, spanRow(k.Span, "boot", "kernel "+say.OrUnknown(k.KernelRelease)+", boot "+say.ID(k.BootID)))
		}
	}
	for _, p := range t.Patches {
		if p.Module != "" {
			rows = append(rows, spanRow(p.Span, "live patch", patchText(p)))
		}
	}
	slices.SortStableFunc(rows, func(a, b pageSpan) int { return cmp.Compare(b.From, a.From) })
	return rows
}

func patchText(p audit.PatchSpan) string {
	text := say.Clip(p.Module, 120)
	if p.Initial != nil && *p.Initial {
		text += ", the initial one"
	}
	switch p.Phase {
	case "initrd":
		text += ", loaded in the initrd"
	case "system":
		text += ", loaded after the initrd"
	}
	return text
}
