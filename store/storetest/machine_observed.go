package storetest

import (
	"encoding/json"
	"slices"

	"github.com/klp-audit/klp-audit/record"
)

// Observe takes an observation, if there is a recorder and the machine runs.
func (m *Machine) Observe(trigger record.Trigger) {
	if !m.Recording || m.Boot == nil {
		return
	}
	o := &record.Observation{
		Trigger: trigger, Kernel: record.Kernel{Release: m.Boot.KernelRelease, Version: "#1 SMP PREEMPT_DYNAMIC", BootTime: m.Boot.First}, Subvolume: "/",
		Installed: slices.Clone(m.Installed), Patches: []record.LoadedPatch{}, Initrd: m.verdict(),
		NextBoot: &record.NextBoot{KernelRelease: m.Next, Image: "/boot/initrd-" + m.Next, Source: "/boot/grub2/grub.cfg"},
		Reboot:   &record.Reboot{Pending: m.pendingReboot(), NewestKernel: m.Next},
		Parts:    map[record.PartName]json.RawMessage{}, Unknown: map[string]string{},
	}
	if m.Module != "" {
		o.Patches = append(o.Patches, record.LoadedPatch{Module: m.Module, Enabled: true, Replace: new(true), StackOrder: new(1)})
		o.LivePatch = m.livePatch()
	}
	for _, set := range m.Parts {
		Check(m.T, set(o))
	}
	o.Boots = m.journal()
	m.Write(&record.Event{Header: m.Header(record.KindObservation), Observation: o})
}

func (m *Machine) pendingReboot() record.Pending {
	switch p := m.PatchFor(m.Boot.KernelRelease); {
	case m.Next == m.Boot.KernelRelease:
		return record.PendingNo
	case p != nil && ModuleOf(*p) == m.Module:
		return record.PendingLivePatched
	}
	return record.PendingYes
}

// livePatch describes the active live patch as an observation does.
func (m *Machine) livePatch() *record.LivePatch {
	lp := &record.LivePatch{Module: m.Module, Enabled: true, Forced: new(false), Since: new(record.At(m.Since))}
	if m.Rotated {
		lp.Since, lp.Forced = nil, nil
	}
	if p := m.PatchFor(m.Boot.KernelRelease); p != nil && ModuleOf(*p) == m.Module {
		fixes := FixesOf(*p)
		lp.Package, lp.Version, lp.PatchNumber, lp.Initial = &p.Name, &p.Version, new(Number(*p)), new(Number(*p) == 1)
		lp.CVEs, lp.Bugs = append([]string{}, fixes.CVEs...), append([]string{}, fixes.Bugs...)
	}
	return lp
}

// verdict is what can be proven about the initrd of the running kernel.
func (m *Machine) verdict() record.Initrd {
	v := record.Initrd{KernelRelease: m.Boot.KernelRelease, Patch: m.Module, Evidence: []record.Evidence{}}
	switch {
	case m.Module == "":
		v.Verdict, v.Reason = record.VerdictUnknown, record.ReasonNoPatch
	case m.Rotated:
		v.Verdict, v.Reason = record.VerdictUnknown, record.ReasonBootStart
	default:
		v.Verdict, v.Basis = record.VerdictMissing, record.BasisBuild
		if m.Initrds[m.Boot.KernelRelease] == m.Module {
			v.Verdict = record.VerdictContained
		}
		v.Evidence = append(v.Evidence, record.Evidence{Says: "the newest build", Time: new(m.stamp()), BootID: m.Boot.ID, Cursor: "s=2", Message: "live patch packed"})
	}
	return v
}

// journal is what is new in the journal: boots that ended since the last observation, and this one.
func (m *Machine) journal() (boots []record.Boot) {
	b := *m.Boot
	b.Last = m.stamp()
	for _, b := range append(m.Pending, &b) {
		if !b.Last.After(m.known[b.ID]) {
			continue
		}
		c := *b
		m.known[c.ID] = c.Last.Time
		c.Loads, c.Builds = slices.Clone(b.Loads), slices.Clone(b.Builds)
		if m.Rotated {
			c.First, c.StartInJournal, c.Loads = c.Last, false, []record.Load{}
		}
		boots = append(boots, c)
	}
	m.Pending = nil
	return boots
}

// Last is the newest observation that was written; a test may change it before it is recorded.
func (m *Machine) Last() *record.Observation {
	m.T.Helper()
	for _, ev := range slices.Backward(m.Written) {
		if ev.Observation != nil {
			return ev.Observation
		}
	}
	m.T.Fatal("there is no observation")
	return nil
}

// Drop removes a part from the newest observation, for a reason.
func (m *Machine) Drop(name record.PartName, why string) {
	delete(m.Last().Parts, name)
	m.Last().Unknown[string(name)] = why
}

// SetPart changes a part of the newest observation.
func SetPart[T record.PartType](m *Machine, v T) { Check(m.T, record.SetPart(m.Last(), v)) }

// SetJSON sets a part of the newest observation to a text of any form.
func (m *Machine) SetJSON(name record.PartName, text string) { m.Last().Parts[name] = []byte(text) }

// Releases writes a release event: an advisory with these packages, as "NAME VERSION", and CVE
// numbers.
func (m *Machine) Releases(a record.Released, packages, cves []string) {
	rel := &record.Release{Lists: map[string]record.List{}}
	for digest, entries := range map[*string][]string{&a.Packages: packages, &a.CVEs: cves} {
		slices.Sort(entries)
		if *digest = record.ListDigest(entries); len(entries) > 0 {
			rel.Lists[*digest] = record.List{Add: entries}
		}
	}
	rel.Advisories = []record.Released{a}
	m.Write(&record.Event{Header: m.Header(record.KindRelease), Release: rel})
}
