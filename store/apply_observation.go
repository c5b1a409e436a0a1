package store

// applyObservation writes what an observation shows into the views.
func applyObservation(seq int64, ev *Event) []mutation {
	o := ev.Observation
	var patched, module, pkg, version, enabled, transition, since any
	if o.Patches != nil {
		patched = o.LivePatch != nil
	}
	if p := o.LivePatch; p != nil {
		module, pkg, version, enabled, transition = p.Module, p.Package, p.Version, p.Enabled, p.Transition
		since = micros(p.Since)
	}
	var next any
	if o.NextBoot != nil {
		next = o.NextBoot.KernelRelease
	}
	m := []mutation{{
		query: `INSERT INTO observations (event, time, boot_id, kernel_release, boot_time, patched, module, package, version, enabled,
			transition, since, verdict, basis, reason, next_kernel) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		args: []any{seq, ev.Time.UnixMicro(), ev.BootID, o.Kernel.Release, o.Kernel.BootTime.UnixMicro(), patched, module, pkg, version,
			enabled, transition, since, o.Initrd.Verdict, orNull(string(o.Initrd.Basis)), orNull(string(o.Initrd.Reason)), next},
	}}
	for _, b := range o.Boots {
		m = append(m, applyBoot(seq, &b)...)
	}
	return append(m, applyBooted(seq, ev)...)
}

// applyBoot writes a boot; a later look at the same boot shows more of it, unless its
// start has been rotated away since. Then its loads and builds stay as they are, too.
func applyBoot(seq int64, b *Boot) []mutation {
	const taken = ` (SELECT event FROM boots WHERE boot_id = ?) = ?`
	m := []mutation{
		{
			query: `INSERT INTO boots (boot_id, event, kernel_release, first, last, start_in_journal, messages_lost, incomplete) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (boot_id) DO UPDATE SET event = excluded.event, kernel_release = excluded.kernel_release, first = excluded.first,
				last = excluded.last, start_in_journal = excluded.start_in_journal, messages_lost = excluded.messages_lost, incomplete = excluded.incomplete
				WHERE (excluded.start_in_journal, boots.incomplete) >= (boots.start_in_journal, excluded.incomplete)
				AND (excluded.start_in_journal > boots.start_in_journal OR excluded.first <= boots.first)`,
			args: []any{b.ID, seq, orNull(b.KernelRelease), b.First.UnixMicro(), b.Last.UnixMicro(), b.StartInJournal, b.MessagesLost, b.Incomplete},
		},
		{query: `DELETE FROM patch_loads WHERE boot_id = ? AND` + taken, args: []any{b.ID, b.ID, seq}},
		{query: `DELETE FROM image_builds WHERE boot_id = ? AND` + taken, args: []any{b.ID, b.ID, seq}},
	}
	for i, l := range b.Loads {
		m = append(m, mutation{
			query: `INSERT INTO patch_loads (boot_id, pos, patch, phase, rule, result, forced, time, disabled, replaced, cursor)
				SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE` + taken,
			args: []any{b.ID, i, l.Patch, l.Phase, l.Rule, l.Result, l.Forced, l.Time.UnixMicro(), micros(l.Disabled), orNull(l.Replaced), l.Cursor, b.ID, seq},
		})
	}
	for i, img := range b.Builds {
		m = append(m, mutation{
			query: `INSERT INTO image_builds (boot_id, pos, kernel_release, image, success, time, cursor) SELECT ?, ?, ?, ?, ?, ?, ? WHERE` + taken,
			args:  []any{b.ID, i, orNull(img.KernelRelease), orNull(img.Image), img.Success, img.Time.UnixMicro(), img.Cursor, b.ID, seq},
		})
	}
	return m
}

func micros(t *Timestamp) any {
	if t == nil {
		return nil
	}
	return t.UnixMicro()
}
