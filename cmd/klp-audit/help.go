package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/report/guide"
)

// allChecks is the topic of help that lists the compliance checks.
const allChecks = "checks"

// helpCommand is cobra's help, which explains compliance checks, too. No check is called like a command.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND | CHECK | " + allChecks + "]",
		Short: "Explain a command, or a compliance check",
		Long: `Explain a command, or a check of report compliance: what it asks, what each result means, what to do,
and which settings of a profile change it. The topic ` + allChecks + ` lists all checks.`,
		Example: `  klp-audit help report history
  klp-audit help checks
  klp-audit help patch-in-initrd`,
		ValidArgsFunction: completeHelp,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.help(cmd.Root(), args) },
	}
}

func (a *app) help(root *cobra.Command, topic []string) error {
	if len(topic) == 1 && topic[0] == allChecks {
		return guide.WriteChecks(a.Stdout, a.style())
	}
	if len(topic) == 1 {
		if r, is := compliance.RuleOf(topic[0]); is {
			return guide.WriteCheck(a.Stdout, r, a.style())
		}
	}
	cmd, rest, err := root.Find(topic)
	if err != nil || len(rest) > 0 {
		return usageError{unknownTopic{strings.Join(topic, " ")}}
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	return cmd.Help()
}

// unknownTopic is what help knows nothing of.
type unknownTopic struct{ topic string }

// Error names it.
func (u unknownTopic) Error() string {
	return fmt.Sprintf("help %q: there is no such command, and no such check", u.topic)
}

// hint names what may have been meant.
func (u unknownTopic) hint(root *cobra.Command) string {
	of, mistyped, known := root, u.topic, append(below(root), append(compliance.CheckIDs(), allChecks)...)
	if sub, rest, err := root.Find(strings.Fields(u.topic)); err == nil && sub != root && len(rest) > 0 {
		of, mistyped, known = sub, rest[0], below(sub)
	}
	if name := nearest(mistyped, known); name != "" {
		topic := strings.TrimPrefix(of.CommandPath(), root.CommandPath())
		return fmt.Sprintf("did you mean `%s help%s %s`?", root.CommandPath(), topic, name)
	}
	return fmt.Sprintf("`%s help` lists the commands, and `%[1]s help %s` the checks", root.CommandPath(), allChecks)
}

// completeHelp offers commands, and as the first word checks, too.
func completeHelp(cmd *cobra.Command, args []string, _ string) (list []string, _ cobra.ShellCompDirective) {
	of, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, sub := range of.Commands() {
		if sub.IsAvailableCommand() {
			list = append(list, cobra.CompletionWithDesc(sub.Name(), sub.Short))
		}
	}
	if len(args) == 0 {
		list = append(list, cobra.CompletionWithDesc(allChecks, "All compliance checks"))
		for _, r := range compliance.Rules() {
			list = append(list, cobra.CompletionWithDesc(r.ID, r.Title))
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}
