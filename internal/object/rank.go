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

package object

import "k8s.io/apimachinery/pkg/runtime/schema"

// Rank is the place of a kind in the order of delivery: what others need comes
// first. Removal goes the other way.
type Rank int

// Ranks, first to last.
const (
	// RankFoundation: what other objects cannot exist without.
	RankFoundation Rank = iota
	// RankReferred: what workloads refer to.
	RankReferred
	// RankOther: everything else, custom resources among it.
	RankOther
	// RankWorkload: what runs, and what intercepts others.
	RankWorkload
	// Ranks is the number of ranks.
	Ranks
)

var ranks = map[schema.GroupKind]Rank{
	{Kind: "Namespace"}: RankFoundation,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: RankFoundation,

	{Kind: "ServiceAccount"}:                                         RankReferred,
	{Kind: "Secret"}:                                                 RankReferred,
	{Kind: "ConfigMap"}:                                              RankReferred,
	{Kind: "PersistentVolume"}:                                       RankReferred,
	{Kind: "PersistentVolumeClaim"}:                                  RankReferred,
	{Kind: "ResourceQuota"}:                                          RankReferred,
	{Kind: "LimitRange"}:                                             RankReferred,
	{Kind: "Service"}:                                                RankReferred,
	{Group: "storage.k8s.io", Kind: "StorageClass"}:                  RankReferred,
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:              RankReferred,
	{Group: "node.k8s.io", Kind: "RuntimeClass"}:                     RankReferred,
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}:              RankReferred,
	{Group: "rbac.authorization.k8s.io", Kind: "Role"}:               RankReferred,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}:        RankReferred,
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:        RankReferred,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: RankReferred,

	{Kind: "Pod"}:                                                                   RankWorkload,
	{Kind: "ReplicationController"}:                                                 RankWorkload,
	{Group: "apps", Kind: "Deployment"}:                                             RankWorkload,
	{Group: "apps", Kind: "DaemonSet"}:                                              RankWorkload,
	{Group: "apps", Kind: "StatefulSet"}:                                            RankWorkload,
	{Group: "apps", Kind: "ReplicaSet"}:                                             RankWorkload,
	{Group: "batch", Kind: "Job"}:                                                   RankWorkload,
	{Group: "batch", Kind: "CronJob"}:                                               RankWorkload,
	{Group: "networking.k8s.io", Kind: "Ingress"}:                                   RankWorkload,
	{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}:                         RankWorkload,
	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}:   RankWorkload,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}: RankWorkload,
}

// RankOf is the rank of a kind.
func RankOf(gk schema.GroupKind) Rank {
	if rank, ok := ranks[gk]; ok {
		return rank
	}
	return RankOther
}
