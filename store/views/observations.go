package views

import (
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
)

var observations = newTable("observations", `event, time, boot_id, kernel_release, boot_time, patched, module, package, version, enabled,
	transition, since, verdict, basis, reason, next_kernel, covered_until`)

// applyObservation writes what an observation shows into the views.
func applyObservation(o *view.Outline) []mutation {
	of := o.Observation
	if of == nil {
		return nil
	}
	var enabled any
	if p := o.Whole.Observation.LivePatch; p != nil {
		enabled = p.Enabled
	}
	row := &of.Observed
	return []mutation{observations.add(
		row.Event, row.Time.UnixMicro(), row.BootID, row.KernelRelease, row.BootTime.UnixMicro(), valueOf(row.Patched), valueOf(row.Module), valueOf(row.Package),
		valueOf(row.Version), enabled, valueOf(row.Transition), micros(row.Since), row.Verdict, orNull(string(row.Basis)), orNull(string(row.Reason)),
		valueOf(row.NextKernel), valueOf(row.CoveredUntil))}
}

// applyBoots writes what an observation shows of boots into the views.
func applyBoots(o *view.Outline) (m []mutation) {
	if o.Observation != nil {
		for _, b := range o.Observation.Boots {
			m = append(m, applyBoot(o.Event, &b)...)
		}
	}
	return m
}

// applyBoot writes a look at a boot, by the rules of view.Boots.
func applyBoot(seq int64, b *record.Boot) []mutation {
	m := []mutation{{
		query: `INSERT INTO boots (boot_id, event, kernel_release, first, last, start_in_journal, messages_lost, incomplete) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (boot_id) DO UPDATE SET event = excluded.event, kernel_release = coalesce(excluded.kernel_release, kernel_release),
			first = CASE WHEN excluded.start_in_journal > start_in_journal THEN excluded.first
				WHEN excluded.start_in_journal < start_in_journal THEN first ELSE min(first, excluded.first) END,
			last = excluded.last, start_in_journal = max(start_in_journal, excluded.start_in_journal),
			messages_lost = excluded.messages_lost, incomplete = excluded.incomplete WHERE excluded.incomplete <= incomplete`,
		args: []any{b.ID, seq, orNull(b.KernelRelease), b.First.UnixMicro(), b.Last.UnixMicro(), b.StartInJournal, b.MessagesLost, b.Incomplete},
	}}
	until := int64(0)
	first, last, whole := view.Shown(b)
	if whole {
		m, until = append(m, applyLook(seq, b.ID, first, last)...), last
	}
	for i, l := range b.Loads {
		m = append(m, mutation{
			query: `INSERT INTO patch_loads (boot_id, pos, patch, phase, rule, result, forced, time, completed, reverted, disabled, replaced, cursor, event, until)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (boot_id, patch, time) DO UPDATE SET pos = iif(?, excluded.pos, pos), phase = CASE WHEN excluded.phase = 'unknown' THEN phase ELSE excluded.phase END,
				rule = CASE WHEN excluded.phase = 'unknown' THEN rule ELSE excluded.rule END, result = CASE WHEN excluded.result = 'unknown' THEN result
					WHEN excluded.result = 'reverted' AND completed IS NOT NULL THEN 'complete' ELSE excluded.result END,
				forced = max(forced, excluded.forced), completed = coalesce(excluded.completed, completed),
				reverted = iif(coalesce(excluded.completed, completed) IS NULL, coalesce(excluded.reverted, reverted), NULL),
				disabled = iif(disabled >= coalesce(excluded.completed, completed), min(disabled, coalesce(excluded.disabled, excluded.reverted, disabled)),
					coalesce(excluded.disabled, iif(completed IS NULL, NULL, excluded.reverted), iif(reverted > excluded.completed, reverted, NULL), disabled)),
				replaced = coalesce(excluded.replaced, replaced), cursor = excluded.cursor, until = max(until, excluded.until)`,
			args: []any{b.ID, view.Place(seq, i), l.Patch, l.Phase, l.Rule, l.Result, l.Forced, l.Time.UnixMicro(), micros(l.Completed), micros(l.Reverted),
				micros(l.Disabled), orNull(l.Replaced), l.Cursor, seq, max(until, l.Time.UnixMicro()), whole},
		})
	}
	for i, img := range b.Builds {
		m = append(m, mutation{
			query: `INSERT INTO image_builds (boot_id, pos, kernel_release, image, success, time, cursor) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (boot_id, time, cursor) DO UPDATE SET pos = iif(?, excluded.pos, pos), kernel_release = excluded.kernel_release, image = excluded.image, success = excluded.success`,
			args: []any{b.ID, view.Place(seq, i), orNull(img.KernelRelease), orNull(img.Image), img.Success, img.Time.UnixMicro(), img.Cursor, whole},
		})
	}
	return m
}

// applyLook records that the journal was complete for a stretch of a boot.
func applyLook(seq int64, boot string, first, last int64) []mutation {
	const overlapping = ` WHERE boot_id = ? AND first <= ? AND last >= ?`
	return []mutation{
		{
			query: `INSERT INTO boot_looks (boot_id, event, first, last) SELECT ?, ?, min(?, coalesce(min(first), ?)), max(?, coalesce(max(last), ?))
				FROM boot_looks` + overlapping + ` ON CONFLICT (boot_id, event) DO UPDATE SET first = excluded.first, last = excluded.last`,
			args: []any{boot, seq, first, first, last, last, boot, last, first},
		},
		{query: `DELETE FROM boot_looks` + overlapping + ` AND event <> ?`, args: []any{boot, last, first, seq}},
	}
}

func micros(t *record.Timestamp) any {
	if t == nil {
		return nil
	}
	return t.UnixMicro()
}
