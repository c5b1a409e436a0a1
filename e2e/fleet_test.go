package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// The packages of the collector that a lab has.
const (
	fleetRPM      = "/lab/klp-audit-fleet.rpm"
	laterFleetRPM = "/lab/later-fleet.rpm" // its tables need one more migration
)

const (
	fleetProgram = "/usr/bin/klp-audit-fleet"
	incoming     = "/var/lib/klp-audit-fleet/incoming"
	ingestUnit   = "klp-audit-fleet-ingest.service"
	verifyUnit   = "klp-audit-fleet-verify.service"
)

// collector is a machine with the collector beside PostgreSQL.
type collector struct {
	*machine
	postgres string // the folder of PostgreSQL's programs
}

// checkFleet lets zypper install the collector beside PostgreSQL, and then a host's package. What the
// host has recorded is sent, taken in, shown, verified and given back. Then the collector is upgraded,
// in vain at first, and removed.
func checkFleet(t *testing.T, b *base) {
	l := newLab(t, b)
	l.startNothing()
	c := newCollector(l)
	c.zypper("in", "--allow-unsigned-rpm", fleetRPM)
	l.lacks("/usr/bin/klp-audit", "/etc/klp-audit")
	checkUnits(t, l)
	c.checkSandbox()
	c.run("systemctl", "start", "lab-postgresql.service")
	c.asPostgres("createuser", "klp-audit-fleet")
	c.asPostgres("createdb", "--owner=klp-audit-fleet", "klp_audit_fleet")

	c.zypper("in", "--allow-unsigned-rpm", thisRPM)
	c.checkHostSandbox()
	c.zypper("in", oldKernel)
	sent := c.run("klp-audit", "export")
	c.checkSenders(sent)
	c.checkIntake(sent)
	c.checkUpgrade()

	c.zypper("rm", "klp-audit-fleet")
	if state, err := c.try("systemctl", "is-active", "klp-audit-fleet-verify.timer"); err == nil {
		t.Errorf("the timer is %s after removal", state)
	}
	l.lacks(fleetProgram, "/usr/lib/systemd/system/"+ingestUnit)
	if !l.exists(incoming) || !l.exists("/usr/bin/klp-audit") {
		t.Error("removal took away what hosts had sent, or the host's package")
	}
}

// newCollector boots a lab whose systemd can start a PostgreSQL of its own, on a socket.
func newCollector(l *lab) *collector {
	l.t.Helper()
	found, err := filepath.Glob(l.root + "/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		l.t.Fatalf("no PostgreSQL: %v", err)
	}
	c := &collector{postgres: strings.TrimPrefix(found[len(found)-1], l.root)}
	const data = "/var/lib/postgresql/lab"
	l.write("/etc/systemd/system/lab-postgresql.service", `[Service]
Type=notify
User=postgres
RuntimeDirectory=postgresql
ExecStartPre=`+c.postgres+`/initdb -D `+data+` --auth=peer --no-sync --encoding=UTF8 --locale=C.UTF-8
ExecStart=`+c.postgres+`/postgres -D `+data+` -c listen_addresses= -c unix_socket_directories=/run/postgresql -c shared_buffers=32MB -c dynamic_shared_memory_type=mmap
`)
	c.machine = l.boot()
	return c
}

func (c *collector) zypper(args ...string) string {
	c.t.Helper()
	return c.run(append([]string{"zypper", "-n", "--no-gpg-checks"}, args...)...)
}

func (c *collector) asPostgres(program string, args ...string) {
	c.t.Helper()
	c.run(append([]string{"runuser", "-u", "postgres", "--", c.postgres + "/" + program}, args...)...)
}

// asFleet runs a program as the collector's user, whom PostgreSQL knows.
func (c *collector) asFleet(args ...string) (string, error) {
	c.t.Helper()
	return c.try(append([]string{"runuser", "-u", "klp-audit-fleet", "--", "env", "--chdir=/"}, args...)...) // psql looks where it is
}

// fleet runs the collector's program.
func (c *collector) fleet(args ...string) string {
	c.t.Helper()
	out, err := c.asFleet(append([]string{fleetProgram}, args...)...)
	if err != nil {
		c.t.Fatalf("klp-audit-fleet %q: %v\n%s", args, err, out)
	}
	return out
}

// checkSandbox checks that nothing runs yet, and that services have the network and no rights.
func (c *collector) checkSandbox() {
	c.t.Helper()
	for _, timer := range []string{"ingest", "verify", "prune"} {
		if _, err := c.try("systemctl", "is-active", "klp-audit-fleet-"+timer+".timer"); err == nil {
			c.t.Errorf("the timer of %s runs after the installation", timer)
		}
	}
	for _, unit := range []string{"migrate", "ingest", "verify", "prune"} {
		c.isSetTo("klp-audit-fleet-"+unit+".service", map[string]string{
			"PrivateNetwork": "no", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "IPAddressDeny": "",
			"User": "klp-audit-fleet", "CapabilityBoundingSet": "", "NoNewPrivileges": "yes", "ProtectSystem": "strict",
			"DropInPaths": "/usr/lib/systemd/system/klp-audit-fleet-.service.d/common.conf",
		})
	}
}

// checkHostSandbox checks that the services of a host, and only they, have no network.
func (c *collector) checkHostSandbox() {
	c.t.Helper()
	for _, unit := range []string{"klp-audit-observe", "klp-audit-observe-daily", "klp-audit-observe-commit", "klp-audit-metrics"} {
		c.isSetTo(unit+".service", map[string]string{
			"PrivateNetwork": "yes", "RestrictAddressFamilies": "AF_UNIX",
			"DropInPaths": "/usr/lib/systemd/system/" + unit + ".service.d/hardening.conf",
		})
	}
	c.checkSandbox()
}

// isSetTo compares what systemd knows of a unit with what is expected.
func (c *collector) isSetTo(unit string, want map[string]string) {
	c.t.Helper()
	for property, value := range want {
		if got := strings.TrimSpace(c.run("systemctl", "show", "-P", property, unit)); got != value {
			c.t.Errorf("%s: %s is %q, want %q", unit, property, got, value)
		}
	}
}

// checkSenders lets a user drop what a host has sent, as docs/fleet.md says. Another one sees nothing of
// it, and cannot get at it.
func (c *collector) checkSenders(sent string) {
	c.t.Helper()
	c.run("systemctl", "start", "klp-audit-fleet-migrate.service") // makes the folders
	for _, user := range []string{"alice", "bob"} {
		c.run("useradd", user)
		c.run("install", "-d", "-m", "2770", "-o", user, "-g", "klp-audit-fleet", incoming+"/"+user)
	}
	c.write("/srv/sent.jsonl", sent)
	const name = incoming + "/alice/web1.jsonl"
	c.run("runuser", "-u", "alice", "--", "sh", "-c", "umask 022; cp /srv/sent.jsonl "+name)
	for _, script := range []string{
		"cat " + name, "ls " + incoming, "ls " + incoming + "/alice", "rm -f " + name, "touch " + incoming + "/alice/x", "touch " + incoming + "/x",
		"ls /var/lib/klp-audit-fleet",
	} {
		if out, err := c.try("runuser", "-u", "bob", "--", "sh", "-c", script); err == nil {
			c.t.Errorf("another sender may do %q: %s", script, out)
		}
	}
	c.run("runuser", "-u", "bob", "--", "sh", "-c", "umask 027; echo nonsense >"+incoming+"/bob/bad")
}

// checkIntake lets the services take in and verify what was sent: it is given back as it was. What is
// wrong stays, and the service says so until somebody has removed it.
func (c *collector) checkIntake(sent string) {
	c.t.Helper()
	if _, err := c.try("systemctl", "start", ingestUnit); err == nil {
		c.t.Error("the service says nothing of a file that is no export")
	}
	c.lacks(incoming + "/alice/web1.jsonl")
	c.run("rm", incoming+"/bob/bad")
	c.run("systemctl", "start", ingestUnit)
	c.run("systemctl", "start", verifyUnit)
	c.run("systemctl", "start", "klp-audit-fleet-prune.service")

	const host = "0123456789abcdef0123456789abcdef"
	if out := c.fleet("show", host); !strings.Contains(out, "pending since") || !strings.Contains(out, "intact") {
		c.t.Errorf("show:\n%s", out)
	}
	if out := c.fleet("verify"); !strings.Contains(out, "1 log: 1 intact") {
		c.t.Errorf("verify:\n%s", out)
	}
	given := c.fleet("export", host)
	if given != sent {
		c.t.Errorf("given back:\n%s\nwas:\n%s", given, sent)
	}
	c.write("/srv/given.jsonl", given)
	if out := c.run("klp-audit", "verify", "--input", "/srv/given.jsonl"); !strings.Contains(out, "is INTACT") {
		c.t.Errorf("verify --input:\n%s", out)
	}
}

// checkUpgrade upgrades to a program with one more migration, while a timer runs. It fails at first: the
// earlier program works as before. Once the cause has gone, it is done.
func (c *collector) checkUpgrade() {
	c.t.Helper()
	const earlier = "/usr/local/bin/earlier"
	psql := func(statement string) {
		c.t.Helper()
		if out, err := c.asFleet(c.postgres+"/psql", "-qc", statement, "klp_audit_fleet"); err != nil {
			c.t.Fatalf("%s: %v\n%s", statement, err, out)
		}
	}
	c.run("cp", fleetProgram, earlier)
	c.run("systemctl", "start", "klp-audit-fleet-verify.timer")
	psql("create table later_two ()")
	if out := c.zypper("in", "--allow-unsigned-rpm", laterFleetRPM); !strings.Contains(out, "the tables are as before") {
		c.t.Errorf("zypper says nothing of a migration that failed:\n%s", out)
	}
	if out, err := c.asFleet(fleetProgram, "show"); err == nil || !strings.Contains(out, "run klp-audit-fleet migrate") {
		c.t.Errorf("the later program, with earlier tables: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"show"}, {"verify"}, {"ingest", "/srv/sent.jsonl"}} {
		if out, err := c.asFleet(append([]string{earlier}, args...)...); err != nil {
			c.t.Errorf("after a failed upgrade, the earlier program's %s: %v\n%s", args[0], err, out)
		}
	}
	psql("drop table later_two")
	c.zypper("in", "--force", "--allow-unsigned-rpm", laterFleetRPM)
	c.run("systemctl", "is-active", "klp-audit-fleet-verify.timer")
	if out := c.fleet("verify"); !strings.Contains(out, "1 log: 1 intact") {
		c.t.Errorf("after the upgrade:\n%s", out)
	}
	if out, err := c.asFleet(earlier, "show"); err == nil || !strings.Contains(out, "a newer klp-audit-fleet made them") {
		c.t.Errorf("the earlier program, with later tables: %v\n%s", err, out)
	}
}
