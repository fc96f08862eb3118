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
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// maxAskedNodes bounds the nodes whose deletions are listed before those of a sync are approved.
const maxAskedNodes = 20

func (p *plugin) approveDeletes() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "approve-deletes {NODE | objectsync/NAME | clusterobjectsync/NAME}",
		Short: "Show the deletions that are held back, and approve them",
		Long: "Show the deletions that are held back, since one change would remove most of what a node holds, and approve them.\n\n" +
			"For a node it approves just the deletions that it shows. For a sync it approves all deletions of objects that the\n" +
			"sync covers, on every node, from now on, until the annotation is taken away.",
		Example: "  kubectl edgesync approve-deletes edge-1\n  kubectl edgesync approve-deletes objectsync/settings -n shop --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.client()
			if err != nil {
				return err
			}
			if strings.Contains(args[0], "/") {
				return p.approveSync(cmd.Context(), c, args[0], yes)
			}
			return p.approveNode(cmd.Context(), c, args[0], yes)
		},
		ValidArgsFunction: p.completeNodesAndSyncs,
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// approvalCode is where the condition Synced of a node has the code.
var approvalCode = regexp.MustCompile(regexp.QuoteMeta(syncv1alpha1.AnnotationApproveDeletes) + `=([0-9a-f]+)`)

// codeOf is the code of the deletions that are held back on a node; empty if none are.
func codeOf(node *syncv1alpha1.EdgeNode) string {
	condition := apimeta.FindStatusCondition(node.Status.Conditions, syncv1alpha1.ConditionSynced)
	if condition == nil || condition.Reason != syncv1alpha1.ReasonDeletesHeldBack {
		return ""
	}
	if match := approvalCode.FindStringSubmatch(condition.Message); match != nil {
		return match[1]
	}
	return ""
}

// approveNode reads the code before the deletions that it shows, so that it never approves
// others: if they have become others in between, the code stands for none.
func (p *plugin) approveNode(ctx context.Context, c client.Client, name string, yes bool) error {
	node := &syncv1alpha1.EdgeNode{}
	if err := c.Get(ctx, client.ObjectKey{Name: name}, node); err != nil {
		return err
	}
	code := codeOf(node)
	if code == "" {
		fmt.Fprintf(p.streams.Out, "No deletions are held back on %s.\n", name)
		return nil
	}
	held, truncated, err := p.heldBack(ctx, c, name)
	if err != nil {
		return err
	}
	counts := node.Status.Objects
	if len(held) != int(counts.HeldBack) && !truncated {
		return fmt.Errorf("what is held back on %s is changing: there were %d deletions, and now there are %d; try again in a moment",
			name, counts.HeldBack, len(held))
	}
	fmt.Fprintf(p.streams.Out, "%s would lose %d of the %d objects that it holds:\n", name, counts.HeldBack, counts.Held)
	for i := range held {
		fmt.Fprintf(p.streams.Out, "  %s\n", describe(keyOf(&held[i])))
	}
	if truncated {
		fmt.Fprintln(p.streams.Out, "  ...")
	}
	if err := p.confirm(yes); err != nil {
		return err
	}
	if err := annotate(ctx, c, node, syncv1alpha1.AnnotationApproveDeletes, code); err != nil {
		return err
	}
	fmt.Fprintf(p.streams.Out, "edgenode/%s: deletions approved\n", name)
	return nil
}

// heldBack are the objects of the node whose deletion waits for approval; truncated says
// that there may be more.
func (p *plugin) heldBack(ctx context.Context, c client.Client, node string) (held []queryv1alpha1.InventoryObject, truncated bool, err error) {
	inventory, err := p.askInventory(ctx, c, node, queryv1alpha1.ParameterDifferent, "true")
	if err != nil {
		return nil, false, err
	}
	for _, o := range inventory.Objects {
		if o.State == queryv1alpha1.StateHeldBack {
			held = append(held, o)
		}
	}
	return held, inventory.Truncated, nil
}

func (p *plugin) approveSync(ctx context.Context, c client.Client, argument string, yes bool) error {
	s, err := p.getSync(ctx, c, argument)
	if err != nil {
		return err
	}
	if s.GetAnnotations()[syncv1alpha1.AnnotationApproveDeletes] == "true" {
		fmt.Fprintf(p.streams.Out, "All deletions of %s are approved already.\n", s)
		return nil
	}
	if err := p.showHeldBack(ctx, c, s); err != nil {
		return err
	}
	if err := p.confirm(yes); err != nil {
		return err
	}
	if err := annotate(ctx, c, s.Object, syncv1alpha1.AnnotationApproveDeletes, "true"); err != nil {
		return err
	}
	fmt.Fprintf(p.streams.Out, "%s/%s: all deletions approved, from now on; to have them held back again: kubectl annotate %s %s-\n",
		s.resource(), s.GetName(), s.kubectlArguments(), syncv1alpha1.AnnotationApproveDeletes)
	return nil
}

// showHeldBack lists what is held back of the kind and in the namespace of the sync.
func (p *plugin) showHeldBack(ctx context.Context, c client.Client, s sync) error {
	nodes := &syncv1alpha1.EdgeNodeList{}
	if err := c.List(ctx, nodes); err != nil {
		return err
	}
	asked, shown := 0, 0
	for i := range nodes.Items {
		node := &nodes.Items[i]
		if codeOf(node) == "" {
			continue
		}
		if asked++; asked > maxAskedNodes {
			fmt.Fprintln(p.streams.Out, "There are more nodes with deletions that are held back.")
			break
		}
		held, _, err := p.heldBack(ctx, c, node.Name)
		if err != nil {
			fmt.Fprintf(p.streams.ErrOut, "Warning: %v\n", err)
			continue
		}
		for j := range held {
			if !s.mayCover(&held[j]) {
				continue
			}
			if shown++; shown == 1 {
				fmt.Fprintf(p.streams.Out, "Held back, of the kind of %s:\n", s)
			}
			fmt.Fprintf(p.streams.Out, "  %s: %s\n", node.Name, describe(keyOf(&held[j])))
		}
	}
	if shown == 0 {
		fmt.Fprintf(p.streams.Out, "Nothing is held back now that could be of %s.\n", s)
	}
	return nil
}

// mayCover: the sync can have brought the object to a node.
func (s sync) mayCover(o *queryv1alpha1.InventoryObject) bool {
	key := keyOf(o)
	return key.GroupKind() == s.groupKind() && key.Namespace == s.GetNamespace() &&
		(s.spec.ObjectRef == nil || s.spec.ObjectRef.Name == key.Name)
}

// confirm asks, unless yes is said already.
func (p *plugin) confirm(yes bool) error {
	if yes {
		return nil
	}
	fmt.Fprint(p.streams.Out, "Approve? [y/N] ")
	line, err := bufio.NewReader(p.streams.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errors.New("not approved: answer y, or use --yes")
}
