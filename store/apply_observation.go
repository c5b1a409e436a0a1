package store

// applyObservation writes what an observation shows into the views.
func applyObservation(seq int64, ev *Event) []mutation {
	o := ev.Observation
	var module, pkg, version, enabled, transition, since any
	if p := o.LivePatch; p != nil {
		module, pkg, version, enabled, transition = p.Module, p.Package, p.Version, p.Enabled, p.Transition
		if p.Since != nil {
			since = p.Since.UnixMicro()
		}
	}
	var next any
	if o.NextBoot != nil {
		next = o.NextBoot.KernelRelease
	}
	m := []mutation{{
		query: `INSERT INTO observations (event, time, boot_id, kernel_release, boot_time, module, package, version, enabled,
			transition, since, verdict, basis, reason, next_kernel) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		args: []any{seq, ev.Time.UnixMicro(), ev.BootID, o.Kernel.Release, o.Kernel.BootTime.UnixMicro(), module, pkg, version,
			enabled, transition, since, o.Initrd.Verdict, orNull(string(o.Initrd.Basis)), orNull(string(o.Initrd.Reason)), next},
	}}
	for _, b := range o.Boots {
		m = append(m, applyBoot(seq, &b)...)
	}
	return m
}

// applyBoot writes a boot; a later look at the same boot shows more of it, unless its
// start has been rotated away since. Then the loads stay as they are, too.
func applyBoot(seq int64, b *Boot) []mutation {
	const taken = ` (SELECT event FROM boots WHERE boot_id = ?) = ?`
	m := []mutation{
		{
			query: `INSERT INTO boots (boot_id, event, kernel_release, first, last, start_in_journal, messages_lost) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (boot_id) DO UPDATE SET event = excluded.event, kernel_release = excluded.kernel_release, first = excluded.first,
				last = excluded.last, start_in_journal = excluded.start_in_journal, messages_lost = excluded.messages_lost
				WHERE excluded.start_in_journal >= boots.start_in_journal`,
			args: []any{b.ID, seq, orNull(b.KernelRelease), b.First.UnixMicro(), b.Last.UnixMicro(), b.StartInJournal, b.MessagesLost},
		},
		{query: `DELETE FROM patch_loads WHERE boot_id = ? AND` + taken, args: []any{b.ID, b.ID, seq}},
	}
	for i, l := range b.Loads {
		m = append(m, mutation{
			query: `INSERT INTO patch_loads (boot_id, pos, patch, phase, rule, result, time, cursor) SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE` + taken,
			args:  []any{b.ID, i, l.Patch, l.Phase, l.Rule, l.Result, l.Time.UnixMicro(), l.Cursor, b.ID, seq},
		})
	}
	return m
}
