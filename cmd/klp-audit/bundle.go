package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/docs/vectors"
	"github.com/klp-audit/klp-audit/internal/filekind"
	"github.com/klp-audit/klp-audit/internal/scratch"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report"
	"github.com/klp-audit/klp-audit/report/bundle"
	"github.com/klp-audit/klp-audit/report/table"
	"github.com/klp-audit/klp-audit/store"
)

// checkBundle says what does not go with --bundle.
func (a *app) checkBundle(cmd *cobra.Command, f *fullFlags) error {
	switch {
	case f.input != "" && a.db != "":
		return usageError{errTwoRecords}
	case f.bundle == "-":
		return usageError{errors.New("--bundle -: want the name of a file")}
	case cmd.Flags().Changed("format") || cmd.Flags().Changed("output"):
		return usageError{errors.New("--bundle has its own files and their formats: leave out --format and --output")}
	}
	return nil
}

// bundle writes the papers of an audit. All of them are made from the export that is among them, and have their times
// in UTC: made again elsewhere, they are the same.
func (a *app) bundle(cmd *cobra.Command, f *fullFlags, p *compliance.Profile, at time.Time) (err error) {
	if f.knownAt != "" { // read it by --tz, as all other times were
		known, err := a.moment("--known-at", f.knownAt)
		if err != nil {
			return err
		}
		f.knownAt = exactly(known.UTC())
	}
	now := a.env.Now
	a.Now = func() time.Time { return now().UTC() }
	temp, err := scratch.NewFolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, temp.Close()) }()
	export := filepath.Join(temp.Path, "record.jsonl")
	if err := a.exportFor(cmd, f.input, export); err != nil {
		return err
	}
	whole, v, err := store.OpenExport(cmd.Context(), export, "")
	if err != nil {
		return err
	}
	s, err := a.beginSection(cmd.Context(), &f.sectionFlags, "report", whole, audit.NewInput("record.jsonl", v))
	if err != nil {
		return err
	}
	defer s.Close()
	full, err := a.makeFull(cmd.Context(), s, f, "html", p, at)
	if err != nil {
		return err
	}
	files := a.papers(cmd.Context(), s, f, full, v)
	files = append(files, bundle.File{Name: "record.jsonl", Write: func(w io.Writer) error { return copyFile(w, export) }})
	newest := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) // the first day that zip knows
	if last := v.LastTime; last != nil && last.After(newest) {
		newest = last.Time
	}
	folder := bundle.Folder(s.summary.Host.Hostname, newest)
	if err := writeFile(f.bundle, func(w io.Writer) error { return bundle.Write(w, folder, newest, files...) }); err != nil {
		return err
	}
	return exit(s.provenance.Input)
}

// exportFor writes the export that papers are made from: the one that is named, or one of the record. Of a record
// that cannot be read it says what it was found to be.
func (a *app) exportFor(cmd *cobra.Command, input, to string) error {
	if input != "" {
		if err := expect("--input", input, "an export", filekind.Export); err != nil {
			return err
		}
		return writeFile(to, func(w io.Writer) error { return copyFile(w, input) })
	}
	s, err := a.openRecord(cmd.Context())
	if err == nil {
		err = writeFile(to, func(w io.Writer) error { return s.Export(cmd.Context(), w, 0) })
		err = errors.Join(err, s.Close())
	}
	if v := a.lost(err); v != nil {
		a.complain("%s", audit.NewInput(a.recordPath(), v).Warning())
		a.complain("no papers are made of it")
		return exitFor(v.Result)
	}
	return err
}

func copyFile(w io.Writer, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return errors.Join(err, in.Close())
}

// papers are all files but the export itself.
func (a *app) papers(ctx context.Context, s *section, f *fullFlags, full *report.Full, v *proof.Verification) []bundle.File {
	about := &bundle.Papers{Verification: v, Provenance: full.Provenance, Again: again(f, full)}
	if name := full.Compliance.Profile; !slices.Contains(compliance.Profiles(), name) {
		about.OwnProfile = name
	}
	from := report.NewProvenance("history", version, a.Now(), s.summary)
	from.Input = s.provenance.Input
	history := report.NewHistory(f.filter, "csv", from)
	history.Filter.Events = s.summary.Events
	history.Rows = s.History(ctx, history.Filter)
	checks := &report.ComplianceSection{Summary: full.Compliance, Provenance: full.Provenance}
	files := []bundle.File{
		{Name: "README.txt", Write: about.WriteReadme},
		{Name: "verify.py", Write: func(w io.Writer) error { _, err := w.Write(vectors.Verify); return err }},
		asFile("report.html", full),
		asFile("history.csv", history),
		asFile("compliance.csv", checks),
		{Name: "history.csv.provenance.json", Write: func(w io.Writer) error { return report.WriteObject(w, from) }},
		{Name: "compliance.csv.provenance.json", Write: func(w io.Writer) error { return report.WriteObject(w, a.complianceProvenance(s, full.Compliance)) }},
	}
	if v.Checkpoint != "" {
		files = append(files, bundle.File{Name: "record.checkpoint", Write: func(w io.Writer) error { _, err := io.WriteString(w, v.Checkpoint); return err }})
	}
	return files
}

// asFile is a section as a file; the end of its name says in which format.
func asFile(name string, s report.Section) bundle.File {
	format := strings.TrimPrefix(filepath.Ext(name), ".")
	return bundle.File{Name: name, Write: func(w io.Writer) error { return report.Write(w, s, format, table.Style{}) }}
}

// again are the flags that make the same report of the export.
func again(f *fullFlags, full *report.Full) string {
	var b strings.Builder
	for _, flag := range []struct {
		name string
		at   time.Time
	}{{"since", f.filter.Since}, {"until", f.filter.Until}, {"at", full.Compliance.At.Time}} {
		if !flag.at.IsZero() {
			fmt.Fprintf(&b, " --%s %s", flag.name, exactly(flag.at.UTC()))
		}
	}
	if known := full.Provenance.Filters["known_at"]; known != "" {
		fmt.Fprintf(&b, " --known-at %s", known)
	}
	fmt.Fprintf(&b, " --tz UTC --profile %s", full.Compliance.Profile)
	return b.String()
}
