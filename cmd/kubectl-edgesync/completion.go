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

	"github.com/spf13/cobra"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

type completer = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// completeNodes completes names of nodes: for the first argument alone, or for all.
func (p *plugin) completeNodes(first bool) completer {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if first && len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return p.names(cmd.Context(), &syncv1alpha1.EdgeNodeList{}, ""), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeSyncs completes names of syncs, as SYNC arguments have them.
func (p *plugin) completeSyncs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return append(p.names(cmd.Context(), &syncv1alpha1.ObjectSyncList{}, ""),
		p.names(cmd.Context(), &syncv1alpha1.ClusterObjectSyncList{}, "clusterobjectsync/")...), cobra.ShellCompDirectiveNoFileComp
}

func (p *plugin) completeNodesAndSyncs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := p.names(cmd.Context(), &syncv1alpha1.EdgeNodeList{}, "")
	names = append(names, p.names(cmd.Context(), &syncv1alpha1.ObjectSyncList{}, "objectsync/")...)
	return append(names, p.names(cmd.Context(), &syncv1alpha1.ClusterObjectSyncList{}, "clusterobjectsync/")...),
		cobra.ShellCompDirectiveNoFileComp
}

// names are those of a list, in the namespace where it has one; none if it cannot be read.
func (p *plugin) names(ctx context.Context, list client.ObjectList, prefix string) []string {
	c, err := p.client()
	if err != nil {
		return nil
	}
	namespace := ""
	if _, ok := list.(*syncv1alpha1.ObjectSyncList); ok {
		if namespace, err = p.namespace(); err != nil {
			return nil
		}
	}
	if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil
	}
	var names []string
	_ = apimeta.EachListItem(list, func(item runtime.Object) error {
		names = append(names, prefix+item.(client.Object).GetName())
		return nil
	})
	return names
}
