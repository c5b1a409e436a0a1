package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/report"
)

func (a *app) showCommand() *cobra.Command {
	var f sectionFlags
	cmd := &cobra.Command{
		Use:   "show EVENT...",
		Short: "Print events as the record keeps them, with their proof",
		Long: `Print events as the record keeps them: who wrote them and when, what they say, which others belong
to them, and the hash that the checkpoint signs. Reports name the events that a statement stands on
by these numbers.

In JSON, body is the exact text of the event, and inclusion proves that it is in the log: leaf is
the SHA-256 of a zero byte and the body, and with the hashes of path it gives root_hash (RFC 6962,
section 2.1.1), which checkpoint signs. An event that was pruned has no body; its hash stays.`,
		Example: `  klp-audit show 12
  klp-audit show 12 13 --format json
  klp-audit show 12 --input record.jsonl`,
		Args:              atLeast("the number of an event, such as 12"),
		ValidArgsFunction: a.completeEvents,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.show(cmd, &f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.input, "input", "", "read the export in `FILE`, which is verified first")
	enumFlag(cmd, &f.format, "format", "print as `FORMAT`", report.Formats(&report.Events{}))
	flags.StringVarP(&f.output, "output", "o", "", outputHelp)
	return cmd
}

func (a *app) show(cmd *cobra.Command, f *sectionFlags, args []string) error {
	var numbers []int64
	for _, arg := range args {
		n, err := strconv.ParseInt(strings.TrimPrefix(arg, "#"), 10, 64)
		if err != nil || n < 1 {
			return usageError{fmt.Errorf("event %q: want the number of an event, such as 12", arg)}
		}
		numbers = append(numbers, n)
	}
	s, err := a.openSection(cmd, f, "event")
	if err != nil {
		return err
	}
	defer s.Close()
	x := &report.Events{From: s.provenance.Input}
	for _, n := range numbers {
		e, err := s.Evidence(cmd.Context(), n)
		if err != nil {
			return fmt.Errorf("event %d: %w", n, err)
		}
		x.List = append(x.List, e)
	}
	return a.write(f, x, s.provenance)
}
