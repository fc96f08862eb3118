/*
Copyright 2026 The edgesync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package command

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgesync/edgesync/edge-agent/internal/agent"
	"github.com/edgesync/edgesync/internal/protocol"
)

func newStatus() *cobra.Command {
	var stateDir, output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether the agent is connected and in sync, and if not why",
		Long: "status asks the agent that runs on this machine; if none runs, it says what the agent holds.\n" +
			"Its exit code is 0 when the agent is connected and in sync, and 1 otherwise.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("there is no output format %q: use text or json", output)
			}
			status, err := agent.ReadStatus(cmd.Context(), stateDir)
			if err != nil {
				return err
			}
			if err := printStatus(cmd.OutOrStdout(), output, &status, time.Now()); err != nil {
				return err
			}
			if !status.InSync {
				return ErrNotInSync
			}
			return nil
		},
	}
	addStateDir(cmd, &stateDir)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "output format: text or json")
	return cmd
}

func printStatus(to io.Writer, format string, status *agent.Status, now time.Time) error {
	if format == "json" {
		encoder := json.NewEncoder(to)
		encoder.SetIndent("", "  ")
		return encoder.Encode(status)
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"Node", status.Node},
		{"Hub", status.Link.Hub},
		{"Announced", status.Link.HubInfoError},
		{"Connection", connection(status, now)},
		{"In sync", inSync(status, now)},
		{"Objects", objects(status.Objects)},
		{"Certificate", certificate(status.CertificateExpires, now)},
		{"Renewal", renewal(status, now)},
		{"Version", status.Version},
	} {
		if row[1] != "" {
			fmt.Fprintf(table, "%s:\t%s\n", row[0], protocol.Printable(row[1]))
		}
	}
	printProblems(table, status, now)
	return table.Flush()
}

func connection(status *agent.Status, now time.Time) string {
	link := status.Link
	switch {
	case !status.Running:
		return "the agent does not run"
	case link.Connected:
		return "connected for " + span(now.Sub(link.Since))
	case link.LastError == "":
		return "connecting"
	default:
		return fmt.Sprintf("not connected: %s; next attempt in %s", link.LastError, span(link.NextAttempt.Sub(now)))
	}
}

func inSync(status *agent.Status, now time.Time) string {
	link := status.Link
	last := ""
	if !link.CompletedAt.IsZero() {
		last = fmt.Sprintf("; the hub had last sent everything %s ago", span(now.Sub(link.CompletedAt)))
	}
	switch {
	case status.InSync:
		return "yes"
	case link.StoreError != "":
		return "no: " + link.StoreError
	case !link.Connected && len(status.Problems) == 0:
		return "unknown: all that is held is applied, but there is no connection" + last
	case len(status.Problems) > 0:
		return fmt.Sprintf("no: %d not as they should be%s", len(status.Problems)+status.FurtherProblems, last)
	default:
		return "no: the hub has more to send" + last
	}
}

func objects(counts agent.Counts) string {
	progressing := ""
	if counts.Progressing > 0 {
		progressing = fmt.Sprintf(" %d not healthy yet,", counts.Progressing)
	}
	return fmt.Sprintf("%d held: %d applied,%s %d pending, %d failed; %d being removed",
		counts.Held, counts.Applied, progressing, counts.Pending, counts.Failed, counts.Removing)
}

func certificate(expires, now time.Time) string {
	if expires.Before(now) {
		return fmt.Sprintf("expired %s ago", span(now.Sub(expires)))
	}
	return fmt.Sprintf("valid until %s, for %s", expires.Format(time.RFC3339), span(expires.Sub(now)))
}

func renewal(status *agent.Status, now time.Time) string {
	next := status.Renewal.Next
	switch {
	case !status.Running:
		return "the agent does it, once it runs"
	case next.IsZero():
		return "under way"
	case status.Renewal.Error != "":
		return fmt.Sprintf("failed: %s; next attempt in %s", status.Renewal.Error, span(next.Sub(now)))
	default:
		return fmt.Sprintf("at %s, in %s", next.Format(time.RFC3339), span(next.Sub(now)))
	}
}

func printProblems(to io.Writer, status *agent.Status, now time.Time) {
	if len(status.Problems) == 0 {
		return
	}
	fmt.Fprintln(to, "\nNOT AS IT SHOULD BE\tSTATE\tFOR\tMESSAGE")
	for _, problem := range status.Problems {
		fmt.Fprintf(to, "%s\t%s\t%s\t%s\n", protocol.Printable(problem.Object), problem.State,
			span(now.Sub(problem.Since)), protocol.Printable(problem.Message))
	}
	if status.FurtherProblems > 0 {
		fmt.Fprintf(to, "and %d more\n", status.FurtherProblems)
	}
}

// span is a duration as people say it.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Hour:
		return d.Round(time.Second).String()
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/day)
	}
}
