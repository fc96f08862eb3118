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

package controllers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/delivery"
	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/object"
)

var _ = Describe("An ObjectSync", func() {
	It("is followed from the first node to the last acknowledgement", func(ctx SpecContext) {
		ns, r := newNamespace(ctx), newRig()
		settings := configMap(ns, "settings")
		create(ctx, settings)
		sync := refSync(ns, "settings", "settings", ns)
		create(ctx, sync)

		By("having no node")
		Eventually(synced(ctx, sync)).Should(Equal("False NoNodes"))
		Expect(statusOf(ctx, sync)(NewGomega(Fail)).Objects).To(BeEquivalentTo(1))

		By("having nodes that are away")
		create(ctx, edgeNode(ns+"-1", map[string]string{ns: ""}), edgeNode(ns+"-2", map[string]string{ns: ""}), edgeNode(ns+"-3", nil))
		Eventually(synced(ctx, sync)).Should(Equal("Unknown Offline"))
		Eventually(r.wants(ns+"-1", "ConfigMap", ns, "settings")).Should(HaveField("Object.Version", settings.ResourceVersion))
		Expect(r.wants(ns+"-3", "ConfigMap", ns, "settings")().Object).To(BeNil())

		By("having a node on the way")
		r.fleet.connect(ns+"-1", "s1")
		r.fleet.is(ns+"-1", delivery.InProgress, configMapKey(ns, "settings"))
		Eventually(synced(ctx, sync)).Should(Equal("False Progressing"))

		By("having been delivered")
		r.fleet.is(ns+"-1", delivery.InSync, configMapKey(ns, "settings"))
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))
		status := statusOf(ctx, sync)(NewGomega(Fail))
		Expect(status.ObjectResourceVersion).To(Equal(settings.ResourceVersion))
		Expect([]int32{status.Desired, status.Synced, status.Pending, status.Failed, status.Offline}).To(Equal([]int32{2, 1, 0, 0, 1}))
		Expect(status.ObservedGeneration).To(Equal(sync.Generation))
		Eventually(eventsOf(ctx, sync)).Should(HaveKey("Synced"))

		By("following the object")
		change(ctx, settings, func(cm *corev1.ConfigMap) { cm.Data["key"] = "other" })
		Eventually(statusOf(ctx, sync)).Should(HaveField("ObjectResourceVersion", settings.ResourceVersion))
		remove(ctx, settings)
		Eventually(synced(ctx, sync)).Should(Equal("False NoObjects"))
		Expect(statusOf(ctx, sync)(NewGomega(Fail)).ObjectResourceVersion).To(BeEmpty())

		By("having nodes leave")
		r.fleet.leave(ns + "-1")
		Eventually(statusOf(ctx, sync)).Should(HaveField("Offline", BeEquivalentTo(2)))
	})

	It("shows at most ten failures, as old as they are", func(ctx SpecContext) {
		ns, r := newNamespace(ctx), newRig()
		node := ns + "-1"
		create(ctx, edgeNode(node, nil))
		sync := selectorSync(ns, "all", "v1", "ConfigMap", node)
		sync.Spec.ObjectSelector.MatchLabels = map[string]string{"app": "shop"}
		create(ctx, sync)
		r.fleet.connect(node, "s1")
		for i := range 12 {
			name := fmt.Sprintf("object-%02d", i)
			create(ctx, configMap(ns, name))
			r.fleet.fails(node, delivery.FailedToApply, "no", configMapKey(ns, name))
		}
		Eventually(statusOf(ctx, sync)).Should(And(HaveField("Objects", BeEquivalentTo(12)), HaveField("Failures", HaveLen(10))))
		Eventually(synced(ctx, sync)).Should(Equal("False Failed"))
		first := statusOf(ctx, sync)(NewGomega(Fail)).Failures[0]
		Expect(first).To(And(HaveField("Node", node), HaveField("Object", "v1/ConfigMap/object-00"), HaveField("Reason", "ApplyFailed")))
		Eventually(eventsOf(ctx, sync)).Should(HaveKeyWithValue("ApplyFailed", ContainSubstring("object-00")))

		By("failing again after a reconnect")
		r.fleet.connect(node, "s2")
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))
		r.fleet.fails(node, delivery.FailedTooLarge, "too large", configMapKey(ns, "object-00"))
		Eventually(statusOf(ctx, sync)).Should(HaveField("Failures", ConsistOf(HaveField("Reason", "TooLarge"))))
	})

	It("freezes nodes while it is suspended", func(ctx SpecContext) {
		ns, r := newNamespace(ctx), newRig()
		node := ns + "-1"
		sync := refSync(ns, "settings", "settings", ns)
		create(ctx, configMap(ns, "settings"), edgeNode(node, map[string]string{ns: ""}), sync)
		r.fleet.connect(node, "s1")
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))
		change(ctx, sync, func(s *syncv1alpha1.ObjectSync) { s.Spec.Suspend = true })
		Eventually(synced(ctx, sync)).Should(Equal("Unknown Suspended"))
		Expect(r.wants(node, "ConfigMap", ns, "settings")()).To(And(HaveField("Object", BeNil()), HaveField("Frozen", true)))
		change(ctx, sync, func(s *syncv1alpha1.ObjectSync) { s.Spec.Suspend = false })
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))
	})

	It("freezes nodes while a selector cannot be parsed", func(ctx SpecContext) {
		ns, r := newNamespace(ctx), newRig()
		node := ns + "-1"
		sync := refSync(ns, "settings", "settings", ns)
		create(ctx, configMap(ns, "settings"), edgeNode(node, map[string]string{ns: ""}), sync)
		r.fleet.connect(node, "s1")
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))
		change(ctx, sync, func(s *syncv1alpha1.ObjectSync) { s.Spec.NodeSelector.MatchLabels["no label!"] = "" })
		Eventually(stalled(ctx, sync)).Should(Equal("True InvalidSelector"))
		Expect(synced(ctx, sync)(NewGomega(Fail))).To(Equal("False InvalidSelector"))
		Expect(r.wants(node, "ConfigMap", ns, "settings")().Frozen).To(BeTrue())
		Eventually(eventsOf(ctx, sync)).Should(HaveKeyWithValue("InvalidSelector", ContainSubstring("spec.nodeSelector")))
		change(ctx, sync, func(s *syncv1alpha1.ObjectSync) { delete(s.Spec.NodeSelector.MatchLabels, "no label!") })
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))
		Expect(stalled(ctx, sync)(NewGomega(Fail))).To(BeEmpty())
	})

	It("has Retain travel with the object", func(ctx SpecContext) {
		ns, r := newNamespace(ctx), newRig()
		node := ns + "-1"
		sync := refSync(ns, "settings", "settings", ns)
		sync.Spec.DeletionPolicy = syncv1alpha1.DeletionPolicyRetain
		create(ctx, configMap(ns, "settings"), edgeNode(node, map[string]string{ns: ""}), sync)
		Eventually(r.wants(node, "ConfigMap", ns, "settings")).Should(And(HaveField("Object", Not(BeNil())), HaveField("Retain", true)))
		change(ctx, sync, func(s *syncv1alpha1.ObjectSync) { s.Spec.DeletionPolicy = syncv1alpha1.DeletionPolicyDelete })
		Eventually(r.wants(node, "ConfigMap", ns, "settings")).Should(HaveField("Retain", false))
	})

	It("says when deletions on a node that it no longer selects wait for approval", func(ctx SpecContext) {
		ns, r := newNamespace(ctx), newRig()
		node := ns + "-1"
		sync := refSync(ns, "settings", "settings", ns)
		create(ctx, configMap(ns, "settings"), edgeNode(node, map[string]string{ns: ""}), sync)
		r.fleet.connect(node, "s1")
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))
		r.fleet.is(node, delivery.HeldBack, configMapKey(ns, "settings"))
		change(ctx, sync, func(s *syncv1alpha1.ObjectSync) {
			s.Spec.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"elsewhere": ""}}
		})
		Eventually(stalled(ctx, sync)).Should(Equal("True DeletesHeldBack"))
		command := fmt.Sprintf("kubectl annotate objectsync settings --namespace %s sync.edgesync.io/approve-deletes=true", ns)
		Eventually(eventsOf(ctx, sync)).Should(HaveKeyWithValue("DeletesHeldBack", HaveSuffix(command)))
		r.fleet.is(node, delivery.InSync, configMapKey(ns, "settings"))
		Eventually(stalled(ctx, sync)).Should(BeEmpty())
		Expect(synced(ctx, sync)(NewGomega(Fail))).To(Equal("False NoNodes"))
	})

	It("writes its status rarely, however many acknowledgements there are", func(ctx SpecContext) {
		const objects = 250
		ns, r := newNamespace(ctx), newRig()
		node := ns + "-1"
		sync := selectorSync(ns, "all", "v1", "ConfigMap", node)
		create(ctx, edgeNode(node, nil))
		r.fleet.connect(node, "s1")
		keys := make([]object.Key, objects)
		for i := range keys {
			keys[i] = configMapKey(ns, fmt.Sprintf("object-%03d", i))
			Expect(admin.Create(ctx, configMap(ns, keys[i].Name))).To(Succeed())
			r.fleet.is(node, delivery.InProgress, keys[i])
		}
		create(ctx, sync)
		Eventually(statusOf(ctx, sync)).Should(And(HaveField("Objects", BeEquivalentTo(objects)), HaveField("Pending", BeEquivalentTo(1))))
		before, started := r.writes.of(""), time.Now()
		for range 4 {
			for _, key := range keys {
				r.fleet.is(node, delivery.InProgress, key)
			}
		}
		for _, key := range keys {
			r.fleet.is(node, delivery.InSync, key)
		}
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))
		Eventually(eventsOf(ctx, sync)).Should(HaveKey("Synced"))
		intervals := int(time.Since(started) / testTiming.statusInterval)
		Expect(r.writes.of("")-before).To(BeNumerically("<=", 3+intervals), "five acknowledgements for each of %d objects", objects)
	})

	It("writes nothing while a node comes and goes", func(ctx SpecContext) {
		patient := testTiming
		patient.settle, patient.settleAtMost = time.Hour, time.Hour
		ns, r := newNamespace(ctx), newRig(withTiming(patient))
		stable, flapping := ns+"-1", ns+"-2"
		label := map[string]string{ns: ""}
		sync := refSync(ns, "settings", "settings", ns)
		create(ctx, configMap(ns, "settings"), edgeNode(stable, label), edgeNode(flapping, label))
		r.fleet.connect(stable, "s0")
		r.fleet.connect(flapping, "s0")
		create(ctx, sync)
		Eventually(statusOf(ctx, sync)).Should(HaveField("Synced", BeEquivalentTo(2)))
		statuses := func() int { return r.writes.of("/objectsyncs/settings/status") }
		before := statuses()

		for i := range 10 {
			r.fleet.leave(flapping)
			Eventually(conditionsOf(ctx, flapping)).Should(HaveExactElements("False Disconnected", "Unknown Offline"))
			r.fleet.connect(flapping, fmt.Sprintf("s%d", i+1))
			Eventually(conditionsOf(ctx, flapping)).Should(HaveExactElements("True Connected", "True Synced"))
		}
		Expect(statuses()).To(Equal(before))

		By("having something else to tell")
		r.fleet.leave(flapping)
		change(ctx, configMap(ns, "settings"), func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		Eventually(statusOf(ctx, sync)).Should(And(HaveField("Synced", BeEquivalentTo(1)), HaveField("Offline", BeEquivalentTo(1))))
		Expect(statuses()).To(Equal(before + 1))
	})

	It("writes its status rarely, however often it changes itself", func(ctx SpecContext) {
		ns, r := newNamespace(ctx), newRig()
		sync := refSync(ns, "settings", "settings", ns)
		create(ctx, sync)
		Eventually(synced(ctx, sync)).Should(Equal("False NoNodes"))
		statuses := func() int { return r.writes.of("/objectsyncs/settings/status") }
		before, started := statuses(), time.Now()
		for i := range 50 {
			change(ctx, sync, func(s *syncv1alpha1.ObjectSync) { s.Spec.Suspend = i%2 == 0 })
		}
		Eventually(statusOf(ctx, sync)).Should(HaveField("ObservedGeneration", sync.Generation))
		Expect(statuses() - before).To(BeNumerically("<=", 1+int(time.Since(started)/testTiming.statusInterval)))
	})
})

var _ = Describe("A ClusterObjectSync", func() {
	It("delivers cluster-scoped objects", func(ctx SpecContext) {
		ns, r := newNamespace(ctx), newRig()
		node := ns + "-1"
		sync := &syncv1alpha1.ClusterObjectSync{
			ObjectMeta: metav1.ObjectMeta{Name: ns},
			Spec: syncv1alpha1.SyncSpec{
				ObjectRef: &syncv1alpha1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: ns}, NodeName: node,
			},
		}
		create(ctx, edgeNode(node, nil), sync)
		r.fleet.connect(node, "s1")
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))
		Expect(r.wants(node, "Namespace", "", ns)().Object).NotTo(BeNil())
		remove(ctx, sync)
		Expect(r.wants(node, "Namespace", "", ns)().Object).To(BeNil())
	})

	It("refuses a namespaced kind, as an ObjectSync refuses a cluster-scoped one", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		newRig()
		cluster := &syncv1alpha1.ClusterObjectSync{
			ObjectMeta: metav1.ObjectMeta{Name: ns},
			Spec: syncv1alpha1.SyncSpec{
				ObjectRef: &syncv1alpha1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Name: "settings"}, NodeName: "edge",
			},
		}
		namespaced := selectorSync(ns, "namespaces", "v1", "Namespace", "edge")
		create(ctx, cluster, namespaced)
		Eventually(stalled(ctx, cluster)).Should(Equal("True WrongScope"))
		Eventually(stalled(ctx, namespaced)).Should(Equal("True WrongScope"))
	})
})

var _ = Describe("A kind", func() {
	It("may come later, with a CustomResourceDefinition", func(ctx SpecContext) {
		ns, r := newNamespace(ctx), newRig()
		node := ns + "-1"
		sync := selectorSync(ns, "gadgets", "later.example.com/v1", "Gadget", node)
		other := refSync(ns, "settings", "settings", ns)
		create(ctx, edgeNode(node, map[string]string{ns: ""}), configMap(ns, "settings"), sync, other)
		r.fleet.connect(node, "s1")
		Eventually(stalled(ctx, sync)).Should(Equal("True KindUnknown"))
		Eventually(synced(ctx, other)).Should(Equal("True Synced"), "one kind does not affect another")
		Expect(r.wants(node, "ConfigMap", ns, "settings")().Frozen).To(BeFalse())

		create(ctx, gadgets("later.example.com"))
		gadget := &unstructured.Unstructured{}
		gadget.SetAPIVersion("later.example.com/v1")
		gadget.SetKind("Gadget")
		gadget.SetNamespace(ns)
		gadget.SetName("g")
		Eventually(func() error { return client.IgnoreAlreadyExists(admin.Create(ctx, gadget)) }).Should(Succeed())
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))
		Expect(stalled(ctx, sync)(NewGomega(Fail))).To(BeEmpty())
		Expect(statusOf(ctx, sync)(NewGomega(Fail)).Objects).To(BeEquivalentTo(1))
	})

	It("may be forbidden until a role allows it", func(ctx SpecContext) {
		ns, user := newNamespace(ctx), "manager"
		managerRole := managerRole(user)
		create(ctx, managerRole, bindingOf(user, managerRole.Name))
		r := newRig(asUser(user))
		node := ns + "-1"
		sync := refSync(ns, "settings", "settings", ns)
		create(ctx, edgeNode(node, map[string]string{ns: ""}), configMap(ns, "settings"), sync)
		DeferCleanup(func(ctx SpecContext) { remove(ctx, sync) }) // while the manager may still do so
		r.fleet.connect(node, "s1")
		Eventually(stalled(ctx, sync)).Should(Equal("True Forbidden"))
		var note string
		Eventually(func(g Gomega) {
			note = eventsOf(ctx, sync)(g)["Forbidden"]
			g.Expect(note).NotTo(BeEmpty())
		}).Should(Succeed())

		By("applying the manifest of the Event")
		_, rest, _ := strings.Cut(note, "<<'EOF'\n")
		manifest, _, found := strings.Cut(rest, "EOF\n")
		Expect(found).To(BeTrue(), note)
		role := &rbacv1.ClusterRole{}
		Expect(yaml.UnmarshalStrict([]byte(manifest), role)).To(Succeed())
		create(ctx, role, bindingOf(user, role.Name))
		Eventually(synced(ctx, sync)).Should(Equal("True Synced"))
		Expect(stalled(ctx, sync)(NewGomega(Fail))).To(BeEmpty())
		Expect(r.wants(node, "ConfigMap", ns, "settings")().Object).NotTo(BeNil())
	})
})

var _ = Describe("A manager that starts", func() {
	It("knows all that exists before anything is delivered", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		sync, other := refSync(ns, "settings", "settings", ns), selectorSync(ns, "unknown", "none.example.com/v1", "None", ns+"-1")
		node := edgeNode(ns+"-1", map[string]string{ns: ""})
		create(ctx, node, configMap(ns, "settings"), sync, other)
		r := newRig()
		DeferCleanup(func(ctx SpecContext) { remove(ctx, sync); remove(ctx, other) }) // while the manager runs
		_, known := r.index.Node(node.Name)
		Expect(known).To(BeTrue())
		_, known = r.index.View(desired.SourceID{Namespace: ns, Name: "settings"})
		Expect(known).To(BeTrue())
		Expect(r.index.Lookup(node.Name, object.Key{Group: "none.example.com", Kind: "None", Namespace: ns, Name: "any"}).Frozen).
			To(BeTrue(), "what cannot be listed is left alone")
	})
})

// managerRole is the generated ClusterRole of the manager, under another name.
func managerRole(name string) *rbacv1.ClusterRole {
	GinkgoHelper()
	manifests, err := os.ReadFile(filepath.Join("..", "config", "rbac", "role.yaml"))
	Expect(err).NotTo(HaveOccurred())
	for manifest := range strings.SplitSeq(string(manifests), "---\n") {
		role := &rbacv1.ClusterRole{}
		if Expect(yaml.Unmarshal([]byte(manifest), role)).To(Succeed()); role.Kind == "ClusterRole" {
			role.Name = name
			return role
		}
	}
	Fail("config/rbac/role.yaml has no ClusterRole")
	return nil
}

func bindingOf(user, role string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user + "-" + role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
}

func gadgets(group string) *apiextensionsv1.CustomResourceDefinition {
	preserve := true
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "gadgets." + group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "gadgets", Singular: "gadget", Kind: "Gadget", ListKind: "GadgetList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{
					OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &preserve},
				},
			}},
		},
	}
}
