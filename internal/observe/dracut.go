package observe

import (
	"errors"
	"fmt"
	"strings"

	send "github.com/coreos/go-systemd/v22/journal"

	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/internal/journal"
)

// LogBuild writes to the journal which live patch modules an image build packs for a
// kernel: one entry for each, or one that says none. drivers are the names that dracut adds
// after its modules ran: while one of them is a live patch, the list would not be whole, and
// nothing is written. Without a journal it does nothing.
func LogBuild(kernel, image string, modules []initrd.Module, drivers string) error {
	if !send.Enabled() || namesLivePatch(drivers) {
		return nil
	}
	if len(modules) == 0 {
		return entry("initrd for "+kernel+" contains no live patch", kernel, image, nil)
	}
	var errs []error
	for _, m := range modules {
		text := fmt.Sprintf("initrd for %s contains live patch %s", kernel, m.File)
		errs = append(errs, entry(text, kernel, image, map[string]string{
			"KLP_MODULE": m.File, "KLP_SRCVERSION": m.SrcVersion, "KLP_SHA256": m.SHA256,
		}))
	}
	return errors.Join(errs...)
}

func entry(text, kernel, image string, fields map[string]string) error {
	all := map[string]string{
		"MESSAGE_ID": journal.BuildMessageID, "SYSLOG_IDENTIFIER": "klp-audit", "KLP_KERNEL": kernel, "KLP_IMAGE": image,
	}
	for name, value := range fields {
		if value != "" {
			all[name] = value
		}
	}
	return send.Send(text, send.PriNotice, all)
}

func namesLivePatch(drivers string) bool {
	return strings.Contains(drivers, "livepatch") || strings.Contains(drivers, "kgraft")
}
