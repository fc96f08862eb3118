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
	"strings"

	"github.com/spf13/cobra"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	"github.com/edgesync/edgesync/internal/object"
)

// exitDifferent and exitTrouble are the codes with which diff ends, as kubectl diff does.
const (
	exitDifferent = 1
	exitTrouble   = 2
)

func (p *plugin) diff() *cobra.Command {
	var one string
	var o *output
	cmd := &cobra.Command{
		Use:   "diff NODE",
		Short: "Compare what a node should hold with what it holds",
		Long: "Compare what a node should hold with what it holds, object by object, at this moment.\n\n" +
			"The exit code is 0 if the node has all that it should, 1 if not, and 2 if that could not be found out.",
		Example: "  kubectl edgesync diff edge-1\n  kubectl edgesync diff edge-1 --object configmap/settings -n shop",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			different, err := p.diffNode(cmd.Context(), args[0], one, o)
			switch {
			case err != nil:
				return &exitError{code: exitTrouble, err: err}
			case different:
				return &exitError{code: exitDifferent}
			}
			return nil
		},
		ValidArgsFunction: p.completeNodes(true),
	}
	cmd.Flags().StringVar(&one, "object", "", "compare this object alone: kind/name, or in full [group/]Kind/[namespace/]name")
	o = newOutput(cmd, true)
	return cmd
}

func (p *plugin) diffNode(ctx context.Context, node, one string, o *output) (different bool, err error) {
	parameters := []string{queryv1alpha1.ParameterDifferent, "true"}
	if one != "" {
		key, err := p.resolveObject(one)
		if err != nil {
			return false, err
		}
		parameters = append(parameters, queryv1alpha1.ParameterObject, key.String())
	}
	c, err := p.client()
	if err != nil {
		return false, err
	}
	inventory, err := p.askInventory(ctx, c, node, parameters...)
	if err != nil {
		return false, err
	}
	different = len(inventory.Objects) > 0
	forPeople, wide := o.forPeople()
	switch {
	case !forPeople:
		return different, o.print(p.streams.Out, inventory)
	case !different && one != "":
		fmt.Fprintf(p.streams.Out, "%s has %s as it should.\n", node, one)
		return false, nil
	case !different:
		fmt.Fprintf(p.streams.Out, "%s holds all that it should (%d objects).\n", node, inventory.Total)
		return false, nil
	}
	if err := p.printDifferences(inventory, wide); err != nil {
		return true, err
	}
	if inventory.Truncated {
		fmt.Fprintln(p.streams.ErrOut, "There are more differences than are shown.")
	}
	return true, nil
}

func (p *plugin) printDifferences(inventory *queryv1alpha1.NodeInventory, wide bool) error {
	t := newTable(p.streams.Out, wide, "Change", "Object", "Desired", "Held", "State", "Reason",
		"+Message", "+Sources")
	var rows [][]any
	for i := range inventory.Objects {
		entry := &inventory.Objects[i]
		failure := entry.Failure
		if failure == nil {
			failure = &queryv1alpha1.InventoryFailure{}
		}
		rows = append(rows, []any{changeOf(entry), keyOf(entry).String(), versionOf(entry.Desired), versionOf(entry.Held),
			string(entry.State), orNone(failure.Reason), orNone(failure.Message), sourcesOf(entry)})
	}
	return t.print(rows...)
}

// changeOf is what is to happen to the object on the node.
func changeOf(entry *queryv1alpha1.InventoryObject) string {
	switch desired, held := entry.Desired, entry.Held; {
	case entry.State == queryv1alpha1.StateFrozen:
		return "keep"
	case desired == nil:
		return "remove"
	case held == nil:
		return "add"
	case desired.UID != held.UID:
		return "replace"
	case desired.Digest != held.Digest:
		return "change"
	}
	return "apply"
}

func keyOf(entry *queryv1alpha1.InventoryObject) object.Key {
	return object.Key{Group: entry.Group, Kind: entry.Kind, Namespace: entry.Namespace, Name: entry.Name}
}

func versionOf(v *queryv1alpha1.ObjectVersion) string {
	if v == nil {
		return none
	}
	return orNone(v.ResourceVersion)
}

func sourcesOf(entry *queryv1alpha1.InventoryObject) string {
	return orNone(strings.Join(entry.Sources, ","))
}
