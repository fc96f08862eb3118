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
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/edgesync/edgesync/internal/enroll"
)

// listedToken is one token of token list, as -o json prints it.
type listedToken struct {
	ID         string            `json:"id"`
	Node       string            `json:"node,omitempty"`
	NodePrefix string            `json:"nodePrefix,omitempty"`
	Rejoin     bool              `json:"rejoin,omitempty"`
	State      enroll.TokenState `json:"state"`
	Uses       int               `json:"uses"`
	Used       int               `json:"used"`
	LastNode   string            `json:"lastNode,omitempty"`
	Expires    time.Time         `json:"expires"`
	Labels     map[string]string `json:"labels,omitempty"`
}

func (t *tokenCommand) list() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the join tokens, without their secrets",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := CheckOutput(output); err != nil {
				return err
			}
			tokens, err := t.connect()
			if err != nil {
				return err
			}
			found, err := tokens.List(cmd.Context())
			now := time.Now()
			listed := make([]listedToken, 0, len(found))
			for _, f := range found {
				listed = append(listed, listedToken{
					f.ID, f.Node, f.NodePrefix, f.Rejoin, f.State(now), f.Uses, f.Used, f.LastNode, f.Expires, f.Labels,
				})
			}
			if output == "json" {
				return errors.Join(PrintJSON(cmd.OutOrStdout(), listed), err)
			}
			return errors.Join(printTable(cmd.OutOrStdout(), listed, now), err)
		},
	}
	AddOutputFlag(cmd, &output)
	return cmd
}

func printTable(out io.Writer, tokens []listedToken, now time.Time) error {
	w := tabwriter.NewWriter(out, 6, 4, 3, ' ', 0)
	fmt.Fprintln(w, "ID\tNODE\tSTATE\tUSED/USES\tEXPIRES\tLABELS")
	for _, token := range tokens {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d/%d\t%s\t%s\n",
			token.ID, token.nodes(), token.State, token.Used, token.Uses, token.expires(now), formatLabels(token.Labels))
	}
	return w.Flush()
}

func (t listedToken) expires(now time.Time) string {
	if t.State == enroll.TokenExpired {
		return duration.HumanDuration(now.Sub(t.Expires)) + " ago"
	}
	return duration.HumanDuration(t.Expires.Sub(now))
}

func (t listedToken) nodes() string {
	switch {
	case t.Rejoin:
		return t.Node + " (rejoin)"
	case t.Node != "":
		return t.Node
	}
	return t.NodePrefix + "*"
}

func formatLabels(labels map[string]string) string {
	if len(labels) == 0 {
		return "<none>"
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, key+"="+labels[key])
	}
	return strings.Join(pairs, ",")
}
