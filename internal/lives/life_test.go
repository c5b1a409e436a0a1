package lives

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/record"
)

// life is a host with what happens to it, step by step.
type life struct {
	*recorder
	seed, n uint64           // its number
	has     map[string]bool  // troubles that this host may meet
	met     map[string]int   // how often it did
	backup  map[string]image // of images, by kernel release
}

// act is something that happens to a host: an ordinary thing, or a trouble.
type act struct {
	name   string
	weight int
	do     func(*life)
}

// ordinary things happen in every life.
var ordinary = []act{
	{"upgrade", 6, (*life).upgrade},
	{"reboot", 4, (*life).reboot},
	{"release", 4, (*life).release},
	{"look", 2, func(l *life) { l.observe(record.TriggerManual) }},
}

// troubles happen in some lives. Those without an act change how others go: see meets.
var troubles = []act{
	{"second kernel", 3, (*life).secondKernel},
	{"downgrade", 3, (*life).downgrade},
	{"removal", 2, (*life).removal},
	{"disabled by hand", 3, (*life).disableByHand},
	{"dracut by hand", 3, (*life).dracutByHand},
	{"crash", 3, (*life).crash},
	{"clock step", 3, (*life).clockStep},
	{"VM restored", 2, (*life).restoreMemory},
	{"snapper rollback", 2, (*life).rollback},
	{"update given up", 3, (*life).giveUp},
	{"another kernel by default", 3, (*life).chooseKernel},
	{"recorder absent", 2, (*life).leaveRecorder},
	{"journal rotated", 3, (*life).rotate},
	{"journal lost", 2, (*life).loseJournal},
	{"journal unread", 3, (*life).unreadJournal},
	{"foreign build", 3, (*life).foreignBuild},
	{"two builds at once", 2, (*life).buildTwice},
	{"crash kernel's build", 2, (*life).kdump},
	{"messages lost", 2, (*life).loseMessages},
	{"late spool", 2, func(l *life) { l.spooled = true }},
	{"build across a commit", 3, (*life).buildAcross},
	{"image restored", 4, (*life).restoreImage},
	{"kernel reinstalled", 2, (*life).reinstallKernel},
	{"import", 4, func(l *life) { l.fromHistory() }},
	{"off for days", 2, (*life).vacation},
	{"kernel removed", 3, (*life).removeKernel},
	{"repository stale", 2, (*life).leaveStale},
	{"repository frozen", 2, (*life).freeze},
	{"repository off", 2, (*life).switchRepo},
	{"repository gone", 2, (*life).renameRepo},
	{"repository unreadable", 3, (*life).damageRepo},
	{"advisory retracted", 3, (*life).retract},
	{"advisory withdrawn", 3, (*life).withdraw},
	{"another flavour", 2, (*life).releaseOther},
	{"PTF kernel", 2, (*life).installPTF},
	{name: "repository never refreshed"},
	{name: "live patches in one notice"},
	{name: "advisory names too much"},
	{name: "slow transition"},
	{name: "stalled transition"},
	{name: "not loaded"},
	{name: "stale initrd"},
	{name: "plugin disabled"},
	{name: "clock wrong at power-on"},
	{name: "clock wrong for a boot"},
	{name: "sysfs unreadable"},
	{name: "rpm unreadable"},
	{name: "part unreadable"},
	{name: "image unreadable"},
	{name: "own entry missing"},
	{name: "dracut silent"},
	{name: "entry dropped"},
	{name: "transactional"},
	{name: "crash in a commit"},
	{name: "failed step"},
}

// live simulates the life with a number. The same seed and number make the same life.
func live(seed, number uint64, at time.Time) *life {
	rng := rand.New(rand.NewPCG(seed, number))
	w := newWorld(rng, at)
	l := &life{
		seed: seed, n: number,
		recorder: &recorder{world: w, known: map[string]time.Time{}, unread: map[string]bool{}, how: logging{level: 4 + rng.IntN(2), own: true}},
		has:      map[string]bool{}, met: map[string]int{}, backup: map[string]image{},
	}
	for _, t := range troubles {
		l.has[t.name] = l.chance(0.25)
	}
	l.plain, l.earlier = l.chance(0.2), number%5 == 0
	l.settle()
	for range 8 + l.IntN(10) {
		l.pass(l.pause())
		l.step()
	}
	l.pass(l.between(time.Minute, 2*24*time.Hour))
	if !l.chance(0.2) {
		l.working = true
		l.observe(record.TriggerManual)
	}
	l.wait(l.between(time.Second, 30*time.Hour))
	l.takeIn()
	l.mark()
	return l
}

// meets says whether a trouble comes up now.
func (l *life) meets(name string, p float64) bool {
	if !l.has[name] || !l.chance(p) {
		return false
	}
	l.met[name]++
	return true
}

// settle is what was before: the host is installed and boots, and later gets its recorder.
func (l *life) settle() {
	l.transactional = l.meets("transactional", 1)
	first := kernelPackage(0)
	first.InstallTime = l.now.Add(-30 * 24 * time.Hour).Unix()
	l.sys.pkgs, l.sys.next = []record.Package{first}, releaseOf(first)
	l.sys.images[l.sys.next] = image{written: l.now.Add(-30 * 24 * time.Hour)}
	l.addRepos()
	l.start()
	if l.chance(0.6) {
		p := patchPackage(l.boot.release, 1+l.IntN(2))
		for l.vendor.newest[l.boot.release] < level(p.Version) {
			l.vendor.issuePatch(l.now.Add(-l.between(time.Hour, 60*24*time.Hour)), l.boot.release)
		}
		l.commit([]record.Package{p}, nil)
	}
	l.pass(l.between(time.Minute, 5*24*time.Hour))
	l.working, l.timer = true, l.now
	l.observe(record.TriggerManual)
}

func (l *life) pause() time.Duration {
	if l.chance(0.4) {
		return l.between(time.Minute, 3*time.Hour)
	}
	return l.between(3*time.Hour, 60*time.Hour)
}

// pass lets time pass, with an observation a day.
func (l *life) pass(d time.Duration) {
	for end := l.now.Add(d); l.now.Before(end); {
		if next := l.timer.Add(24 * time.Hour); l.working && next.Before(end) {
			if next.After(l.now) {
				l.now = next
			}
			l.timer = next
			l.cannotRead()
			l.refresh()
			l.observe(record.TriggerTimer)
			if l.spooled && l.chance(0.5) {
				l.takeIn()
			}
			continue
		}
		l.now = end
	}
}

// step does one of the things that may happen.
func (l *life) step() {
	acts := slices.Clone(ordinary)
	for _, t := range troubles {
		if l.has[t.name] && t.do != nil {
			acts = append(acts, t)
		}
	}
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	n := l.IntN(total)
	for _, a := range acts {
		if n -= a.weight; n < 0 {
			if l.boot == nil {
				l.powerOn()
			}
			l.cannotRead()
			if l.has[a.name] {
				l.met[a.name]++
			}
			a.do(l)
			return
		}
	}
}

// cannotRead decides what the next observation does not see.
func (l *life) cannotRead() {
	if l.meets("sysfs unreadable", 0.3) {
		l.unread["patches"] = true
	}
	if l.meets("rpm unreadable", 0.3) {
		l.unread["installed"] = true
	}
	if l.meets("image unreadable", 0.5) {
		l.unread["image"] = true
	}
	if l.meets("part unreadable", 0.3) {
		l.unread[[]string{"next_boot", "coverage", "repositories"}[l.IntN(3)]] = true
	}
}

// powerOn starts the host.
func (l *life) powerOn() {
	switch {
	case l.meets("clock wrong at power-on", 0.5):
		l.setClock(l.error())
		defer func() {
			l.wait(l.between(time.Second, 10*time.Minute))
			l.setClock(0)
		}()
	case l.meets("clock wrong for a boot", 0.4):
		l.setClock(l.error())
	case l.clock != 0:
		l.setClock(0)
	}
	l.start()
	if l.chance(0.8) {
		l.observe(record.TriggerBoot)
	}
}

// error is by how much a clock may be wrong.
func (l *life) error() time.Duration {
	d := l.between(time.Minute, 6*time.Hour)
	if l.chance(0.5) {
		return -d
	}
	return d
}

func (l *life) reboot() {
	l.stop()
	l.wait(l.between(30*time.Second, 20*time.Minute))
	l.powerOn()
}

// crash ends a boot without a word; the last minutes of its journal are lost.
func (l *life) crash() {
	lost := l.now.Add(-l.between(0, 10*time.Minute))
	b := l.boot
	for len(b.lines) > 0 && b.base.Add(b.lines[len(b.lines)-1].Since).After(lost) {
		b.lines = b.lines[:len(b.lines)-1]
	}
	l.boot, l.patch = nil, patch{}
	l.mark()
	l.wait(l.between(time.Minute, time.Hour))
	l.powerOn()
}

// target is the system that a commit changes.
func (l *life) target() *system {
	if !l.transactional {
		return l.sys
	}
	s := l.next.clone()
	s.number = l.newest() + 1
	return s
}

// newest is the highest number of a snapshot that may be booted.
func (l *life) newest() int {
	n := max(l.next.number, l.sys.number)
	for _, s := range l.left {
		n = max(n, s.number)
	}
	return n
}

// giveUp has the next boot run what runs now: what was staged stays there.
func (l *life) giveUp() {
	if l.next != l.sys {
		l.left, l.next = append(slices.Clone(l.left), l.next), l.sys
		l.mark()
	}
}

// after is what is installed when packages came in and went.
func after(pkgs, in, out []record.Package) []record.Package {
	left := slices.DeleteFunc(slices.Clone(pkgs), func(p record.Package) bool {
		return slices.ContainsFunc(out, func(o record.Package) bool { return o.Name == p.Name && o.Version == p.Version }) ||
			slices.ContainsFunc(in, func(i record.Package) bool { return isPatch(i) && i.Name == p.Name })
	})
	return append(left, in...)
}

// commit is one of zypper's.
func (l *life) commit(in, out []record.Package) {
	s := l.target()
	l.refresh()
	if l.chance(0.5) {
		l.past = append(l.past, s.clone()) // snapper's, before it
	}
	recorded := l.working && !l.meets("plugin disabled", 0.4)
	before := slices.Clone(s.pkgs)
	var begin *record.Event
	if recorded {
		begin = l.begin(s, in, out)
	}
	failing := l.meets("failed step", 0.4)
	if failing {
		in, out = l.firstOf(in), nil
	}
	l.changing = !l.transactional
	l.mark()
	l.wait(l.between(time.Second, 20*time.Second))
	for i := range in {
		l.number++
		in[i].InstallTime, in[i].InstallTID, in[i].DBInstance = l.wall().Unix(), l.wall().Unix(), int64(l.number)
	}
	s.pkgs = after(s.pkgs, in, out)
	l.mark()
	crashed := !l.transactional && l.meets("crash in a commit", 0.3)
	if !crashed {
		l.scripts(s, in, out)
	}
	l.changing = false
	if l.transactional && !failing { // else the snapshot is deleted
		l.next = s
	}
	l.mark()
	if crashed {
		l.open, l.before = begin, before
		l.crash()
		return
	}
	l.wait(time.Second)
	if !recorded {
		if !l.transactional || !failing {
			l.missed = append(l.missed, difference(before, s.pkgs)...)
		}
		return
	}
	l.end(begin, s, before)
	l.wait(l.between(time.Second, 5*time.Second))
	l.observe(record.TriggerCommit)
}

// firstOf are the packages that come in before a step fails: of a snapshot that is deleted, none.
func (l *life) firstOf(in []record.Package) []record.Package {
	if l.transactional || len(in) == 0 {
		return nil
	}
	return in[:l.IntN(len(in))]
}

// scripts are what packages do when they come in, or go.
func (l *life) scripts(s *system, in, out []record.Package) {
	for _, p := range in {
		if isPatch(p) && s == l.sys && releaseOf(p) == l.boot.release && !l.meets("not loaded", 0.5) {
			l.loadNow(moduleOf(p))
		}
		if !isPatch(p) {
			s.next = s.newestKernel()
		}
	}
	built := map[string]bool{}
	for _, p := range slices.Concat(in, out) {
		release := releaseOf(p)
		gone := !slices.ContainsFunc(s.pkgs, func(q record.Package) bool { return !isPatch(q) && releaseOf(q) == release })
		if gone {
			delete(s.images, release)
			continue
		}
		if built[release] || l.meets("stale initrd", 0.5) {
			continue
		}
		built[release] = true
		l.build(s, release, l.logging())
	}
	s.next = s.newestKernel()
}

func (l *life) logging() logging {
	how := l.how
	if l.meets("own entry missing", 0.5) {
		how.own = false
	}
	if l.meets("dracut silent", 0.5) {
		how.level = 0
	}
	how.dropped = l.meets("entry dropped", 0.3)
	return how
}

// loadNow loads a live patch into the running kernel.
func (l *life) loadNow(module string) {
	if l.patch.module == module || !l.patch.done {
		return
	}
	l.load(module)
	switch {
	case l.meets("stalled transition", 0.4):
		return
	case l.meets("slow transition", 0.4):
		l.wait(l.between(time.Minute, 3*time.Hour))
		l.observe(record.TriggerManual)
		l.wait(l.between(time.Millisecond, time.Second))
	default:
		l.wait(l.between(time.Second, 5*time.Second))
	}
	l.complete()
}

func (l *life) upgrade() {
	if !l.patch.done { // a stalled transition ends at last
		if l.chance(0.4) {
			l.complete()
			return
		}
		l.turnBack()
		if l.wait(l.between(time.Second, 3*time.Hour)); l.chance(0.5) {
			l.reboot()
		}
		return
	}
	release := l.boot.release
	if kernelNumber(release) == ptf {
		return // it gets none
	}
	has := 0
	if p := l.next.patchFor(release); p != nil {
		has = level(p.Version)
	}
	if has >= l.vendor.newest[release] {
		l.lie(l.vendor.issuePatch(l.now, release))
		l.wait(l.between(time.Minute, 3*time.Hour))
	}
	l.commit([]record.Package{patchPackage(release, has+1+l.IntN(l.vendor.newest[release]-has))}, nil)
}

func (l *life) downgrade() {
	p := l.next.patchFor(l.boot.release)
	if p == nil || level(p.Version) < 2 {
		return
	}
	l.commit([]record.Package{patchPackage(l.boot.release, level(p.Version)-1)}, nil)
}

func (l *life) removal() {
	if p := l.next.patchFor(l.boot.release); p != nil {
		l.commit(nil, []record.Package{*p})
	}
}

func (l *life) secondKernel() {
	n := slices.IndexFunc(kernels, func(k string) bool {
		return k != kernels[ptf] && !slices.ContainsFunc(l.next.pkgs, func(p record.Package) bool { return p.Version == k })
	})
	if n < 0 {
		return
	}
	k := kernelPackage(n)
	in := []record.Package{k}
	if l.vendor.newest[releaseOf(k)] == 0 {
		l.lie(l.vendor.issueKernel(l.now, n))
		l.wait(l.between(time.Minute, 3*time.Hour))
	}
	if l.chance(0.5) {
		in = append(in, patchPackage(releaseOf(k), 1))
	}
	l.commit(in, nil)
	if l.chance(0.5) {
		l.pass(l.pause())
		l.reboot()
	}
}

// removeKernel removes a kernel that does not run, and its live patch, as purge-kernels does.
func (l *life) removeKernel() {
	runs := l.boot.release
	i := slices.IndexFunc(l.next.pkgs, func(p record.Package) bool { return !isPatch(p) && releaseOf(p) != runs })
	if i < 0 || len(slices.DeleteFunc(slices.Clone(l.next.pkgs), isPatch)) < 2 {
		return
	}
	out := []record.Package{l.next.pkgs[i]}
	if p := l.next.patchFor(releaseOf(out[0])); p != nil {
		out = append(out, *p)
	}
	l.commit(nil, out)
}

// vacation leaves the host off for days.
func (l *life) vacation() {
	l.stop()
	l.wait(l.between(40*time.Hour, 8*24*time.Hour))
	l.powerOn()
}

func (l *life) disableByHand() {
	if l.patch.done && l.patch.module != "" {
		l.disable()
	}
}

func (l *life) dracutByHand() { l.build(l.sys, l.boot.release, l.logging()) }

func (l *life) clockStep() {
	if l.clock != 0 {
		l.setClock(0)
		return
	}
	l.setClock(l.error())
}

// restoreMemory sets the host back to what it was a while ago: all but the true time.
func (l *life) restoreMemory() {
	saved := l.save()
	l.pass(l.between(time.Hour, 60*time.Hour))
	if l.boot != nil && l.chance(0.7) {
		l.upgrade()
	}
	l.pass(l.between(time.Hour, 40*time.Hour))
	l.restore(saved)
	l.wait(l.between(time.Second, time.Minute))
	l.setClock(0)
	l.wait(l.between(time.Second, time.Minute))
	l.observe(record.TriggerManual)
}

func (l *life) rollback() {
	if len(l.past) == 0 {
		return
	}
	s := l.past[l.IntN(len(l.past))].clone()
	l.number++
	s.number = l.newest() + 1
	l.next = s
	l.mark()
	if l.chance(0.5) {
		l.observe(record.TriggerManual)
	}
	l.pass(l.between(time.Minute, 5*time.Hour))
	l.reboot()
}

func (l *life) leaveRecorder() {
	l.working = false
	l.pass(l.between(time.Hour, 50*time.Hour))
	for range l.IntN(3) {
		if l.boot == nil {
			l.powerOn()
		}
		ordinary[l.IntN(2)].do(l)
		l.pass(l.pause())
	}
	l.working = true
	l.observe(record.TriggerManual)
}

// rotate takes the oldest entries out of the journal: of a busy machine it holds an hour.
func (l *life) rotate() {
	keeps := []time.Duration{time.Hour, 48 * time.Hour}[l.IntN(2)]
	until := l.now.Add(-l.between(time.Minute, keeps))
	for _, b := range l.boots {
		n := 0
		for n < len(b.lines) && b.base.Add(b.lines[n].Since).Before(until) {
			n++
		}
		b.lines = b.lines[n:]
	}
	l.boots = slices.DeleteFunc(l.boots, func(b *boot) bool { return len(b.lines) == 0 && b != l.boot })
}

// loseJournal takes whole boots out of it.
func (l *life) loseJournal() {
	l.boots = slices.DeleteFunc(l.boots, func(b *boot) bool { return b != l.boot && l.chance(0.5) })
}

// unreadJournal damages a file of it: some of the entries are not read. Nobody may have looked
// at that boot before.
func (l *life) unreadJournal() {
	if l.chance(0.5) {
		l.damage(l.boots[l.IntN(len(l.boots))])
		return
	}
	b := l.unseen()
	l.stop()
	l.damage(b)
	l.wait(l.between(30*time.Second, 20*time.Minute))
	l.powerOn()
}

// unseen reboots into a boot that is not observed for a while.
func (l *life) unseen() *boot {
	working := l.working
	l.working = false
	l.reboot()
	l.pass(l.between(time.Minute, 20*time.Hour))
	l.working = working
	return l.boot
}

func (l *life) damage(b *boot) {
	if len(b.lines) < 3 {
		return
	}
	from := l.IntN(len(b.lines) - 1)
	if i := slices.IndexFunc(b.lines, isLoad); i >= 0 && l.chance(0.5) {
		from = i
	}
	to := min(from+1+l.IntN(len(b.lines)-from), len(b.lines))
	b.lines, b.unread = slices.Delete(slices.Clone(b.lines), from, to), true
}

func isLoad(line journal.Line) bool {
	return strings.HasPrefix(line.Fields["MESSAGE"], "livepatch: enabling patch")
}

// loseMessages is the kernel's log running over: lines of a boot are not in the journal, and
// it says so.
func (l *life) loseMessages() {
	if len(l.boot.lines) == 0 { // all were lost already
		return
	}
	from := l.IntN(len(l.boot.lines))
	l.boot.lines = slices.DeleteFunc(l.boot.lines, func(line journal.Line) bool {
		from--
		return from < 0 && line.Fields["_TRANSPORT"] == "kernel"
	})
	l.log(map[string]string{"_TRANSPORT": "driver", "MESSAGE_ID": "e9bf28e6e834481bb6f48f548ad13606", "PRIORITY": "4", "MESSAGE": "Missed 12 kernel messages"})
}

// chooseKernel has the next boot run any of the kernels that are installed.
func (l *life) chooseKernel() {
	var all []string
	for _, p := range l.next.pkgs {
		if !isPatch(p) {
			all = append(all, releaseOf(p))
		}
	}
	l.next.next = all[l.IntN(len(all))]
	l.mark()
}

// buildTwice makes two initrds, shortly after each other or at once.
func (l *life) buildTwice() {
	release, first, second := l.boot.release, l.logging(), l.logging()
	second.own = second.own && l.chance(0.5)
	if l.chance(0.3) {
		l.together(l.dracut(l.sys, release, imageOf(release), first), l.dracut(l.sys, release, imageOf(release), second))
		return
	}
	l.build(l.sys, release, first)
	if l.chance(0.5) {
		l.upgrade()
	}
	if l.boot != nil {
		l.build(l.sys, release, second)
	}
}

// buildAcross makes an initrd while a commit brings another live patch, which it does not pack.
func (l *life) buildAcross() {
	booted := l.boot
	for i, s := range l.dracut(l.sys, booted.release, imageOf(booted.release), l.logging()) {
		if l.wait(s.after); i == 2 {
			l.upgrade()
		}
		if l.boot != booted {
			return
		}
		s.do()
	}
}

// restoreImage keeps a copy of an initrd, or puts it back, with the time that it had.
func (l *life) restoreImage() {
	release := l.boot.release
	img, kept := l.backup[release]
	if !kept {
		l.backup[release] = l.sys.images[release]
		return
	}
	img.modified, img.written = img.modTime(), l.wall()
	l.sys.images[release] = img
	l.mark()
}

// reinstallKernel installs a kernel once more that is there, the oldest one.
func (l *life) reinstallKernel() {
	for _, p := range l.next.pkgs {
		if !isPatch(p) {
			l.commit([]record.Package{p}, []record.Package{p})
			return
		}
	}
}

// foreignBuild makes an initrd in another root, with the names and the journal of this one: by
// itself, beside one of this system, or shortly after one.
func (l *life) foreignBuild() {
	release, s := l.boot.release, l.sys.clone()
	if p := s.patchFor(release); p != nil && level(p.Version) > 1 && l.chance(0.7) {
		s.pkgs = after(s.pkgs, []record.Package{patchPackage(release, level(p.Version)-1)}, nil)
	}
	foreign := l.dracut(s, release, imageOf(release), l.logging())
	switch l.IntN(3) {
	case 0:
		own := l.dracut(l.sys, release, imageOf(release), l.logging())
		if d := lasts(own) - lasts(foreign); d > 0 && l.chance(0.5) { // both end at about the same time
			foreign[0].after = d + l.between(0, time.Second)
		}
		l.together(foreign, own)
	case 1:
		l.dracutByHand()
		l.wait(l.between(time.Second, 30*time.Minute))
		l.together(foreign)
	default:
		l.together(foreign)
	}
}

// kdump makes the image of the crash kernel, mostly beside the initrd.
func (l *life) kdump() {
	release := l.boot.release
	crash := l.dracut(l.sys, release, imageOf(release)+"-kdump", l.logging())
	if l.chance(0.3) {
		l.together(crash)
		return
	}
	l.together(crash, l.dracut(l.sys, release, imageOf(release), l.logging()))
}
