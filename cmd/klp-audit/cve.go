package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/report"
)

func (a *app) cveCommand() *cobra.Command {
	var f atFlags
	cmd := &cobra.Command{
		Use:   "cve [CVE...]",
		Short: "Print how fixes came to where they protect, whether they were lost, and what is open",
		Long: `Print for each fix that a live patch brought: which package, when it was released and installed, and by
whom, active, and first proven to be in the initrd; and each time that it was taken away again, by a
downgrade, a removal, by disabling it, or by a boot into an older initrd. installed is a fix
whose package is there, and which is not active: it says why. A load that is not complete fixes
nothing yet. other-kernel is a fix that was active while its kernel ran; another kernel runs now.

What the vendor has released, and this machine has not, is open: available is a fix that a live
patch for the running kernel on offer brings, needs-kernel one that only a newer kernel on offer
does. Each open fix says since when, and what to do. What is on offer is what libzypp has in its
cache of the enabled repositories, as observations saw it. A number that is asked for is fixed,
too, if the changelog of the running kernel, or the advisory that brought it, says so. unknown says
why: its advisory was retracted or withdrawn, its repository is off, only other kernels are named,
or the metadata is stale; or what else the record lacks.

Released is the date of issue of the advisory, if the repositories' metadata was there to be
observed, and else the build time of the package, which is a lower bound: it says which. Of a
date without a zone no more than the day is known (advisory-day): whole days count, from its end.
not-in-record is not the same as not fixed: nothing on record names the number.

` + knownHelp + `

--format openvex writes an OpenVEX document (0.2.0) about the kernel package that ran at a
moment, because scanners see only the package's version: "fixed" is what its live patch or the
kernel itself fixes, "affected" what is open, with what to do, and "under_investigation" a number
that was asked for and is not known. Statements hold as long as that boot and live patch do. There
is none of a record that is altered or cut.`,
		Example: `  klp-audit report cve
  klp-audit report cve CVE-2025-21999 --format json
  klp-audit report cve --format openvex --output host.openvex.json`,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: a.recorded("cve"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.cve(cmd, &f, args) },
	}
	cmd.Flags().StringVar(&f.at, "at", "", "how it stood at `TIME` (at the end of the record): "+report.TimeHelp)
	a.sectionFlags(cmd, &f.sectionFlags, report.Formats(&report.CVEs{}))
	return cmd
}

func (a *app) cve(cmd *cobra.Command, f *atFlags, args []string) error {
	ids, err := cveNumbers(args)
	if err != nil {
		return usageError{err}
	}
	at, err := f.sectionFlags.at(a, f.at, "")
	if err != nil {
		return err
	}
	s, err := a.openSection(cmd, &f.sectionFlags, "cve")
	if err != nil {
		return err
	}
	defer s.Close()
	if len(ids) > 0 {
		s.provenance.Filters["cve"] = strings.Join(ids, " ")
	}
	c, err := s.fixes(cmd.Context(), at, ids)
	if err != nil {
		return err
	}
	return a.write(&f.sectionFlags, c, s.provenance)
}

func cveNumbers(args []string) (ids []string, err error) {
	for _, arg := range args {
		id, err := audit.ParseCVE(arg)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// fixes returns what had become of the fixes by a moment, zero for the end of the record, and the state
// at that moment.
func (s *section) fixes(ctx context.Context, at time.Time, ids []string) (*report.CVEs, error) {
	st, err := report.StateAt(ctx, s.Store, at, s.provenance)
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		at = record.Always()
	}
	t, err := audit.TimelineUntil(ctx, s.Store, at)
	if err != nil {
		return nil, err
	}
	exposures, err := audit.NewExposures(ctx, s.Store, t, at, ids)
	if err != nil {
		return nil, err
	}
	if err := audit.ReadInstallations(ctx, s.Store, exposures); err != nil {
		return nil, err
	}
	c := report.NewCVEs(exposures, st, s.provenance)
	c.Asked = ids
	return c, nil
}
