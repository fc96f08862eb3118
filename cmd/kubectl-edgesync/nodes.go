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
	"slices"
	"time"

	"github.com/spf13/cobra"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// nodesOptions are the flags of nodes.
type nodesOptions struct {
	names    []string
	selector string
	watch    bool
	output   *output
}

func (p *plugin) nodes() *cobra.Command {
	o := &nodesOptions{}
	cmd := &cobra.Command{
		Use:     "nodes [NAME...]",
		Aliases: []string{"node"},
		Short:   "List nodes: whether they are connected, and how far they are",
		Long: "List nodes: whether they are connected, and how far they are.\n\n" +
			"SINCE is how long the node has been connected, or how long ago it was last seen.",
		Example: "  kubectl edgesync nodes\n  kubectl edgesync nodes -l region=eu -o wide --watch",
		RunE: func(cmd *cobra.Command, names []string) error {
			o.names = names
			if o.selector != "" && len(names) > 0 {
				return errors.New("name the nodes, or select them with -l")
			}
			c, err := p.client()
			if err != nil {
				return err
			}
			if o.watch {
				return p.watchNodes(cmd.Context(), c, o)
			}
			return p.listNodes(cmd.Context(), c, o)
		},
		ValidArgsFunction: p.completeNodes(false),
	}
	cmd.Flags().StringVarP(&o.selector, "selector", "l", "", "labels that the nodes must have, such as region=eu")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "after the list, add a row for each change until Ctrl-C")
	o.output = newOutput(cmd, true)
	return cmd
}

func nodeTable(p *plugin, wide bool) *table {
	return newTable(p.streams.Out, wide, "Name", "Connected", "Synced", "Desired", "Held", "Pending", "Failed", "Since",
		"+Replica", "+Version", "+Address", "+Labels")
}

func (p *plugin) listNodes(ctx context.Context, c client.Client, o *nodesOptions) error {
	list, problem := findNodes(ctx, c, o)
	if list == nil {
		return problem
	}
	forPeople, wide := o.output.forPeople()
	switch {
	case forPeople && len(list.Items) == 0 && problem == nil:
		fmt.Fprintln(p.streams.ErrOut, "No nodes found")
	case forPeople && len(list.Items) > 0:
		var rows [][]any
		for i := range list.Items {
			rows = append(rows, nodeRow(&list.Items[i], p.now()))
		}
		return errors.Join(nodeTable(p, wide).print(rows...), problem)
	case !forPeople && len(o.names) == 1 && len(list.Items) == 1:
		return o.output.print(p.streams.Out, &list.Items[0])
	case !forPeople:
		return errors.Join(o.output.print(p.streams.Out, list), problem)
	}
	return problem
}

// findNodes reads the nodes that are meant. If some of those that are named are missing, it
// returns the others, and an error.
func findNodes(ctx context.Context, c client.Client, o *nodesOptions) (*syncv1alpha1.EdgeNodeList, error) {
	list := &syncv1alpha1.EdgeNodeList{}
	if len(o.names) == 0 {
		opts, err := o.listOptions()
		if err != nil {
			return nil, err
		}
		if err := c.List(ctx, list, opts...); err != nil {
			return nil, err
		}
		return list, nil
	}
	var problems []error
	for _, name := range o.names {
		node := syncv1alpha1.EdgeNode{}
		if err := c.Get(ctx, client.ObjectKey{Name: name}, &node); err != nil {
			problems = append(problems, err)
			continue
		}
		list.Items = append(list.Items, node)
	}
	return list, errors.Join(problems...)
}

func (o *nodesOptions) listOptions() ([]client.ListOption, error) {
	selector, err := labels.Parse(o.selector)
	if err != nil {
		return nil, fmt.Errorf("--selector: %w", err)
	}
	opts := []client.ListOption{client.MatchingLabelsSelector{Selector: selector}}
	if len(o.names) == 1 {
		opts = append(opts, client.MatchingFields{"metadata.name": o.names[0]})
	}
	return opts, nil
}

// watchNodes adds a row when it would say something else than the last of that node.
func (p *plugin) watchNodes(ctx context.Context, c client.WithWatch, o *nodesOptions) error {
	opts, err := o.listOptions()
	if err != nil {
		return err
	}
	forPeople, wide := o.output.forPeople()
	rows := newChanges(nodeTable(p, wide), 7) // Since moves by itself
	return follow(ctx, c, &syncv1alpha1.EdgeNodeList{}, func(objs []client.Object, gone bool) (bool, error) {
		var news [][]any
		for _, obj := range objs {
			node := obj.(*syncv1alpha1.EdgeNode)
			switch row := nodeRow(node, p.now()); {
			case len(o.names) > 0 && !slices.Contains(o.names, node.Name):
			case !forPeople:
				if err := o.output.print(p.streams.Out, node); err != nil {
					return false, err
				}
			case gone:
				row[1] = "Deleted"
				fallthrough
			default:
				news = append(news, row)
			}
		}
		return false, rows.print(news...)
	}, opts...)
}

func nodeRow(node *syncv1alpha1.EdgeNode, now time.Time) []any {
	session := node.Status.Session
	if session == nil {
		session = &syncv1alpha1.EdgeNodeSession{}
	}
	objects := node.Status.Objects
	return []any{
		node.Name, connected(node), reasonOf(node.Status.Conditions, syncv1alpha1.ConditionSynced),
		objects.Desired, objects.Held, objects.Pending, objects.Failed, since(node, now),
		orNone(session.Replica), orNone(node.Status.AgentVersion), orNone(session.RemoteAddress), labels.FormatLabels(node.Labels),
	}
}

// connected is True or False, or the reason where that says more.
func connected(node *syncv1alpha1.EdgeNode) string {
	condition := apimeta.FindStatusCondition(node.Status.Conditions, syncv1alpha1.ConditionConnected)
	switch {
	case condition == nil:
		return "Unknown"
	case condition.Reason == syncv1alpha1.ReasonConnected, condition.Reason == syncv1alpha1.ReasonDisconnected:
		return string(condition.Status)
	default:
		return condition.Reason
	}
}

func reasonOf(conditions []metav1.Condition, name string) string {
	if condition := apimeta.FindStatusCondition(conditions, name); condition != nil {
		return condition.Reason
	}
	return "Unknown"
}

// since is how long the node has been connected, or away.
func since(node *syncv1alpha1.EdgeNode, now time.Time) string {
	switch {
	case node.Status.Session != nil:
		return age(now, node.Status.Session.ConnectedTime.Time)
	case node.Status.LastSeenTime != nil:
		return age(now, node.Status.LastSeenTime.Time)
	}
	return none
}

// away says that a node without a session is away, to follow the word "is".
func away(node *syncv1alpha1.EdgeNode, now time.Time) string {
	if node.Status.LastSeenTime == nil {
		return "offline (it has never been connected)"
	}
	return "offline (last seen " + since(node, now) + " ago)"
}
