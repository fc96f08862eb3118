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

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

func (p *plugin) why() *cobra.Command {
	var o *output
	cmd := &cobra.Command{
		Use:   "why NODE OBJECT",
		Short: "Say in one sentence why a node has an object, or does not have it",
		Long: "Say in one sentence why a node has an object, or does not have it, and below what that is known from: which syncs\n" +
			"want it, in which version, when it was sent, stored and applied, and what went wrong last.\n\n" +
			"OBJECT is kind/name or kind.group/name in the namespace, as with kubectl, or in full [group/]Kind/[namespace/]name,\n" +
			"as status has it.",
		Example: "  kubectl edgesync why edge-1 configmap/settings -n shop\n" +
			"  kubectl edgesync why edge-1 apps/v1/Deployment/shop/till",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := p.ask(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			if forPeople, _ := o.forPeople(); forPeople {
				writeAnswer(p.streams.Out, q)
				return nil
			}
			if q.inventory == nil {
				return q.inventoryErr
			}
			return o.print(p.streams.Out, q.inventory)
		},
		ValidArgsFunction: p.completeNodes(true),
	}
	o = newOutput(cmd, false)
	return cmd
}

// ask collects all that the question is answered from.
func (p *plugin) ask(ctx context.Context, node, argument string) (*question, error) {
	c, err := p.client()
	if err != nil {
		return nil, err
	}
	q := &question{node: &syncv1alpha1.EdgeNode{}, now: p.now()}
	if err := c.Get(ctx, client.ObjectKey{Name: node}, q.node); err != nil {
		return nil, err
	}
	if q.key, err = p.resolveObject(argument); err != nil {
		return nil, err
	}
	if q.syncs, err = listSyncs(ctx, c, q.key.Namespace); err != nil {
		return nil, err
	}
	q.object, q.objectErr = p.getMetadata(ctx, q.key)
	if isGone(q.objectErr) {
		q.object, q.objectErr = nil, nil
	}
	q.inventory, q.inventoryErr = p.askInventory(ctx, c, node, queryv1alpha1.ParameterObject, q.key.String())
	return q, nil
}

// writeAnswer writes the sentence, and then what it is known from.
func writeAnswer(out io.Writer, q *question) {
	fmt.Fprintf(out, "%s\n\n", q.sentence())
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(out, "%-11s %s\n", name+":", text)
		}
	}
	line("Object", describe(q.key)+q.inCluster())
	line("Node", q.node.Name+", "+q.nodeState())
	if entry := q.entry(); entry != nil {
		line("State", string(entry.State))
		line("Desired", versionText(entry.Desired))
		line("Held", versionText(entry.Held))
		line("Sent", timeText(entry.SentTime, q))
		line("Persisted", timeText(entry.PersistedTime, q))
		line("Applied", timeText(entry.AppliedTime, q))
		line("Last error", failureText(entry.Failure, q.now))
		line("Sources", sourcesOf(entry))
	} else if q.inventory != nil {
		line("State", "not held, and not to be held")
	} else {
		line("State", "not known")
	}
	verdicts := q.verdicts()
	if len(verdicts) == 0 {
		return
	}
	fmt.Fprintln(out, "Syncs:")
	for _, v := range verdicts {
		fmt.Fprintf(out, "  %s %s\n", v.sync, v.text)
	}
}

func versionText(v *queryv1alpha1.ObjectVersion) string {
	if v == nil {
		return none
	}
	return fmt.Sprintf("version %s (digest %s, uid %s)", v.ResourceVersion, v.Digest, v.UID)
}

// timeText is when something was, if that was in this session.
func timeText(t *metav1.MicroTime, q *question) string {
	if t == nil {
		return none + " (not in this session)"
	}
	return fmt.Sprintf("%s (%s ago)", t.UTC().Format("2006-01-02T15:04:05.000Z07:00"), age(q.now, t.Time))
}

func failureText(failure *queryv1alpha1.InventoryFailure, now time.Time) string {
	if failure == nil {
		return none
	}
	return fmt.Sprintf("%s for %s: %s", failure.Reason, age(now, failure.Since.Time), failure.Message)
}
