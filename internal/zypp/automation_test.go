package zypp

import (
	"testing"
	"testing/fstest"
)

func TestAutomation(t *testing.T) {
	const patching = "0::/system.slice/patching.service\n"
	tests := []struct {
		name, comm, cmdline, cgroup, env, want string
	}{
		{"a human", "bash", "-bash", "0::/user.slice/user-0.slice/session-3.scope\n", "", ""},
		{"salt by program name", "salt-minion", "", patching, "", "salt-minion"},
		{"salt by its script", "python3.6", "/usr/bin/python3\x00-s\x00/usr/bin/salt-minion", patching, "", "salt-minion"},
		{"salt by its title", "/usr/bin/python", "/usr/bin/python3 /usr/bin/salt-minion Minion.process\x00\x00", patching, "", "salt-minion"},
		{"transactional-update, cut by the kernel", "transactional-u", "", patching, "", "transactional-update"},
		{"transactional-update by its script", "bash", "/bin/bash\x00/usr/sbin/transactional-update\x00up", patching, "", "transactional-update"},
		{"tukit", "tukit", "tukit\x00call", patching, "", "transactional-update"},
		{"transactional-update by environment", "sh", "", patching, "TRANSACTIONAL_UPDATE=true", "transactional-update"},
		{"cron", "cron", "/usr/sbin/cron -n", "0::/system.slice/cron.service\n", "", "cron"},
		{"reading about cron is no automation", "less", "less\x00/etc/cron", "", "", ""},
		{"a service", "sh", "", patching, "", "systemd:patching.service"},
		{"no cgroup", "sh", "", "", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			proc := machine()
			proc["10/stat"] = statLine("10", test.comm, "S", "1", "0", "100")
			proc["10/cmdline"] = &fstest.MapFile{Data: []byte(test.cmdline)}
			proc["30/cgroup"].Data = []byte(test.cgroup)
			got, err := Inspect(proc, fstest.MapFS{}, 30, environment(test.env))
			if err != nil || got.Actor.Automation != test.want {
				t.Errorf("automation %q, error %v, want %q", got.Actor.Automation, err, test.want)
			}
		})
	}
}

func TestServiceUnit(t *testing.T) {
	tests := map[string]string{
		"": "",
		"4:memory:/x.service\n1:name=systemd:/system.slice/a.service\n0::/\n":        "a.service",
		"1:name=systemd:/\n0::/system.slice/b.service\n":                             "b.service",
		"0::/system.slice/c.service/payload\n":                                       "c.service",
		"0::/user.slice/user-0.slice/user@0.service/app.slice/terminal.service\n":    "",
		"0::/system.slice/system-getty.slice/getty@tty1.service\n":                   "",
		"0::/system.slice/system-serial\\x2dgetty.slice/serial-getty@hvc0.service\n": "",
		"0::/system.slice/sshd.service\n":                                            "",
		"0::/system.slice/sshd@1-2.service\n":                                        "",
		"0::/machine.slice/libpod-1.scope/system.slice/a.service\n":                  "",
		"0::/system.slice/run@x.service\n":                                           "run@x.service",
	}
	for text, want := range tests {
		if got := serviceUnit(text); got != want {
			t.Errorf("serviceUnit(%q) = %q, want %q", text, got, want)
		}
	}
}
