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
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

func (p *plugin) status() *cobra.Command {
	var watch, wait bool
	var timeout time.Duration
	var o *output
	cmd := &cobra.Command{
		Use:   "status SYNC",
		Short: "Show how far the objects of a sync have come: counts, rollout, failures",
		Long: "Show how far the objects of a sync have come: counts, rollout, conditions, failures.\n\n" +
			"With --wait it ends once all nodes that are connected are synced. Its exit code is 1 if that cannot come without\n" +
			"somebody who acts: a node refused or failed to apply an object, the sync is stalled or suspended, or its\n" +
			"rollout is paused; and after the timeout.",
		Example: "  kubectl edgesync status settings -n shop\n" +
			"  kubectl edgesync status clusterobjectsync/policies --watch\n" +
			"  kubectl apply -f settings.yaml && kubectl edgesync status settings -n shop --wait --timeout 5m",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if watch && wait {
				return errors.New("--watch does not end, and --wait does: choose one")
			}
			c, err := p.client()
			if err != nil {
				return err
			}
			s, err := p.getSync(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			forPeople, _ := o.forPeople()
			switch {
			case wait:
				return p.waitSynced(cmd.Context(), c, s, timeout)
			case watch:
				return p.watchSync(cmd.Context(), c, s, o)
			case forPeople:
				return describeSync(p.streams.Out, s, p.now())
			}
			return o.print(p.streams.Out, s.Object)
		},
		ValidArgsFunction: p.completeSyncs,
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "print a row for each change until Ctrl-C")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until every connected node is synced")
	addTimeoutFlag(cmd, &timeout)
	o = newOutput(cmd, false)
	return cmd
}

func addTimeoutFlag(cmd *cobra.Command, timeout *time.Duration) {
	cmd.Flags().DurationVar(timeout, "timeout", 0, "how long to wait; 0 means for ever")
}

// describeSync writes all that is known of a sync.
func describeSync(out io.Writer, s sync, now time.Time) error {
	synced := s.synced()
	fmt.Fprintf(out, "%s: %s\n%s\n\n", s, synced.Reason, synced.Message)
	fmt.Fprintf(out, "Objects:  %d\n", s.status.Objects)
	fmt.Fprintf(out, "Nodes:    %d desired: %d synced, %d pending, %d failed, %d offline\n",
		s.status.Desired, s.status.Synced, s.status.Pending, s.status.Failed, s.status.Offline)
	if s.spec.Rollout != nil {
		fmt.Fprintf(out, "Rollout:  %s\n", rolloutText(s))
	}
	if len(s.status.Conditions) > 0 {
		fmt.Fprintln(out, "\nConditions:")
		t := newTable(out, false, "Type", "Status", "Reason", "Since", "Message")
		var rows [][]any
		for _, c := range s.status.Conditions {
			rows = append(rows, []any{c.Type, string(c.Status), c.Reason, age(now, c.LastTransitionTime.Time), c.Message})
		}
		if err := t.print(rows...); err != nil {
			return err
		}
	}
	if len(s.status.Failures) == 0 {
		return nil
	}
	fmt.Fprintln(out, "\nFailures:")
	t := newTable(out, false, "Node", "Object", "Reason", "Since", "Message")
	var rows [][]any
	for _, f := range s.status.Failures {
		rows = append(rows, []any{f.Node, f.Object, f.Reason, age(now, f.Since.Time), f.Message})
	}
	return t.print(rows...)
}

// rolloutText says how far a rollout has come, and how a paused one goes on.
func rolloutText(s sync) string {
	text := rolloutProgress(s)
	rollout := s.status.Rollout
	switch {
	case rollout == nil:
		return "not begun"
	case rollout.Paused:
		return fmt.Sprintf("%s have had their turn, paused: %s\n          Go on with: kubectl edgesync rollout resume %s",
			text, pausedBecause(s), s.arguments())
	case rollout.Waiting > 0:
		return text + " have had their turn"
	}
	return text + " have had their turn: complete"
}

func rolloutProgress(s sync) string {
	rollout := s.status.Rollout
	if rollout == nil {
		return none
	}
	return fmt.Sprintf("%d/%d nodes", rollout.Released, rollout.Released+rollout.Waiting)
}

func pausedBecause(s sync) string {
	if stalled := s.stalled(); stalled != nil {
		return stalled.Message
	}
	return "too many nodes failed"
}

// watchSync prints a row whenever it would say something else than the last.
func (p *plugin) watchSync(ctx context.Context, c client.WithWatch, s sync, o *output) error {
	forPeople, _ := o.forPeople()
	rows := newChanges(newTable(p.streams.Out, false,
		"Name", "Desired", "Synced", "Pending", "Failed", "Offline", "Status", "Rollout"), -1)
	return followSync(ctx, c, s, func(s sync, gone bool) (bool, error) {
		if !forPeople {
			return false, o.print(p.streams.Out, s.Object)
		}
		row := syncRow(s)
		if gone {
			row[6] = "Deleted"
		}
		return gone, rows.print(row)
	})
}

func syncRow(s sync) []any {
	rollout := rolloutProgress(s)
	if s.status.Rollout != nil && s.status.Rollout.Paused {
		rollout += " paused"
	}
	return []any{s.GetName(), s.status.Desired, s.status.Synced, s.status.Pending, s.status.Failed, s.status.Offline,
		s.synced().Reason, rollout}
}

// followSync tells of one sync, as it is and as it becomes.
func followSync(ctx context.Context, c client.WithWatch, s sync, observe func(s sync, gone bool) (bool, error)) error {
	var list client.ObjectList = &syncv1alpha1.ObjectSyncList{}
	if s.clusterScoped() {
		list = &syncv1alpha1.ClusterObjectSyncList{}
	}
	return follow(ctx, c, list, func(objs []client.Object, gone bool) (bool, error) {
		for _, obj := range objs {
			if done, err := observe(asSync(obj), gone); done || err != nil {
				return done, err
			}
		}
		return false, nil
	}, client.InNamespace(s.GetNamespace()), client.MatchingFields{"metadata.name": s.GetName()})
}
