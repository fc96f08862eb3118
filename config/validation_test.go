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

package config

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// newSync is a valid ObjectSync, for a test to change.
func newSync(change ...func(*syncv1alpha1.SyncSpec)) *syncv1alpha1.ObjectSync {
	sync := &syncv1alpha1.ObjectSync{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Namespace: "default"},
		Spec: syncv1alpha1.SyncSpec{
			ObjectRef: &syncv1alpha1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Name: "settings"},
			NodeName:  "edge-1",
		},
	}
	for _, f := range change {
		f(&sync.Spec)
	}
	return sync
}

func selectKind(apiVersion, kind string) func(*syncv1alpha1.SyncSpec) {
	return func(s *syncv1alpha1.SyncSpec) {
		s.ObjectRef = nil
		s.ObjectSelector = &syncv1alpha1.ObjectSelector{APIVersion: apiVersion, Kind: kind}
	}
}

func referTo(apiVersion, kind, name string) func(*syncv1alpha1.SyncSpec) {
	return func(s *syncv1alpha1.SyncSpec) {
		s.ObjectRef = &syncv1alpha1.ObjectReference{APIVersion: apiVersion, Kind: kind, Name: name}
	}
}

func TestCreateIsValidated(t *testing.T) {
	t.Parallel()
	type spec = syncv1alpha1.SyncSpec
	for name, c := range map[string]struct {
		change func(*spec)
		err    string // "" if it is valid
	}{
		"object and node name":   {func(*spec) {}, ""},
		"selectors":              {func(s *spec) { selectKind("v1", "Secret")(s); s.NodeName, s.NodeSelector = "", &metav1.LabelSelector{} }, ""},
		"a custom resource":      {referTo("shop.example.com/v1beta1", "PriceList", "eu"), ""},
		"a name with colons":     {referTo("rbac.authorization.k8s.io/v1", "ClusterRole", "system:node"), ""},
		"both object forms":      {func(s *spec) { s.ObjectSelector = &syncv1alpha1.ObjectSelector{APIVersion: "v1", Kind: "Secret"} }, "exactly one of objectRef and objectSelector must be set"},
		"no object":              {func(s *spec) { s.ObjectRef = nil }, "exactly one of objectRef and objectSelector must be set"},
		"both node forms":        {func(s *spec) { s.NodeSelector = &metav1.LabelSelector{} }, "exactly one of nodeName and nodeSelector must be set"},
		"no node":                {func(s *spec) { s.NodeName = "" }, "exactly one of nodeName and nodeSelector must be set"},
		"rollout":                {func(s *spec) { s.Rollout = &syncv1alpha1.Rollout{MaxInProgress: new(intstr.FromString("10%"))} }, ""},
		"rollout of 110%":        {func(s *spec) { s.Rollout = &syncv1alpha1.Rollout{MaxInProgress: new(intstr.FromString("110%"))} }, "maxInProgress is a positive number"},
		"rollout of no node":     {func(s *spec) { s.Rollout = &syncv1alpha1.Rollout{MaxInProgress: new(intstr.FromInt32(0))} }, "maxInProgress is a positive number"},
		"unknown deletionPolicy": {func(s *spec) { s.DeletionPolicy = "Orphan" }, `supported values: "Delete", "Retain"`},
		"no name":                {referTo("v1", "ConfigMap", ""), "spec.objectRef.name"},
		"no kind":                {referTo("v1", "", "settings"), "kind is the name of a kind, such as ConfigMap"},
		"kind with a path":       {referTo("v1", "pods/log", "settings"), "kind is the name of a kind, such as ConfigMap"},
		"no apiVersion":          {referTo("", "ConfigMap", "settings"), "apiVersion is a group and a version"},
		"apiVersion with a dot":  {referTo("apps.v1", "Deployment", "shop"), "apiVersion is a group and a version"},
		"selector with no kind":  {selectKind("v1", ""), "kind is the name of a kind, such as ConfigMap"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expectResult(t, cluster.admin.Create(t.Context(), newSync(c.change), client.DryRunAll), c.err)
		})
	}
}

func expectResult(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	} else {
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(want)))
	}
}

func TestUpdateIsValidated(t *testing.T) {
	t.Parallel()
	type spec = syncv1alpha1.SyncSpec
	for name, c := range map[string]struct {
		old, change func(*spec)
		err         string
	}{
		"another object":   {func(*spec) {}, func(s *spec) { s.ObjectRef.Name = "other" }, "objectRef is immutable"},
		"another kind":     {selectKind("v1", "ConfigMap"), func(s *spec) { s.ObjectSelector.Kind = "Secret" }, "apiVersion and kind are immutable"},
		"another version":  {selectKind("v1", "ConfigMap"), func(s *spec) { s.ObjectSelector.APIVersion = "v2" }, "apiVersion and kind are immutable"},
		"another form":     {func(*spec) {}, selectKind("v1", "ConfigMap"), "cannot be exchanged for one another"},
		"other labels":     {selectKind("v1", "ConfigMap"), func(s *spec) { s.ObjectSelector.MatchLabels = map[string]string{"app": "shop"} }, ""},
		"another node":     {func(*spec) {}, func(s *spec) { s.NodeName = "edge-2" }, ""},
		"nodes by labels":  {func(*spec) {}, func(s *spec) { s.NodeName, s.NodeSelector = "", &metav1.LabelSelector{} }, ""},
		"suspend and keep": {func(*spec) {}, func(s *spec) { s.Suspend, s.DeletionPolicy = true, syncv1alpha1.DeletionPolicyRetain }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sync := newSync(c.old)
			create(t, sync)
			c.change(&sync.Spec)
			expectResult(t, cluster.admin.Update(t.Context(), sync), c.err)
		})
	}
}

func TestDeletionPolicyDefaultsToDelete(t *testing.T) {
	t.Parallel()
	sync := newSync()
	create(t, sync)
	NewWithT(t).Expect(sync.Spec.DeletionPolicy).To(Equal(syncv1alpha1.DeletionPolicyDelete))
}
