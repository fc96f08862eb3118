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
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestInstallAgainChangesNothing(t *testing.T) {
	g := NewWithT(t)
	before := disruptionBudget(t).Generation
	out, err := kubectl("", "apply", "-k", "default")
	g.Expect(err).NotTo(HaveOccurred(), out)
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "poddisruptionbudget") { // of which kubectl replaces the selector, whatever it is
			continue
		}
		g.Expect(line).To(HaveSuffix(" unchanged\n"))
	}
	g.Expect(disruptionBudget(t).Generation).To(Equal(before))
}

func TestSamplesApply(t *testing.T) {
	g := NewWithT(t)
	out, err := kubectl("", "apply", "--dry-run=server", "-k", "samples")
	g.Expect(err).NotTo(HaveOccurred(), out)
}

func TestManagerReadsWhatIsAggregated(t *testing.T) {
	g := NewWithT(t)
	g.Eventually(func() ([]rbacv1.PolicyRule, error) {
		var role rbacv1.ClusterRole
		err := cluster.admin.Get(t.Context(), client.ObjectKey{Name: "edgesync-manager-objects"}, &role)
		return role.Rules, err
	}).WithTimeout(deadline).Should(ContainElement(HaveField("Resources", ContainElement("configmaps"))))
}

// The namespace enforces the restricted Pod Security Standard.
func TestManagerPodIsAdmitted(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	deployment := managerDeployment(t)
	pod := &corev1.Pod{ObjectMeta: deployment.Spec.Template.ObjectMeta, Spec: deployment.Spec.Template.Spec}
	pod.GenerateName, pod.Namespace = "test-", deployment.Namespace
	g.Expect(cluster.admin.Create(t.Context(), pod, client.DryRunAll)).To(Succeed())
}

// A flag that the manager does not know would only show as a pod that never starts.
func TestManagerTakesItsArguments(t *testing.T) {
	t.Parallel()
	manager := filepath.Join(cmp.Or(os.Getenv("EDGESYNC_BIN"), "../bin"), "manager")
	args := slices.Concat(managerDeployment(t).Spec.Template.Spec.Containers[0].Args, []string{"--help"})
	out, err := exec.Command(manager, args...).CombinedOutput()
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), "%s (make build builds it): %s", manager, out)
}

// Every selector of the installation that is about replicas must select them.
func TestManagerIsReplicated(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	deployment := managerDeployment(t)
	g.Expect(deployment.Spec.Replicas).To(HaveValue(BeEquivalentTo(3)))
	g.Expect(deployment.Spec.Strategy.Type).To(Equal(appsv1.RollingUpdateDeploymentStrategyType))
	g.Expect(deployment.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--leader-elect"))
	pod := labels.Set(deployment.Spec.Template.Labels)
	selects := func(selector *metav1.LabelSelector) bool {
		parsed, err := metav1.LabelSelectorAsSelector(selector)
		g.Expect(err).NotTo(HaveOccurred())
		return !parsed.Empty() && parsed.Matches(pod)
	}
	g.Expect(deployment.Spec.Template.Spec.TopologySpreadConstraints).NotTo(BeEmpty())
	for _, constraint := range deployment.Spec.Template.Spec.TopologySpreadConstraints {
		g.Expect(selects(constraint.LabelSelector)).To(BeTrue(), constraint.TopologyKey)
	}
	budget := disruptionBudget(t)
	g.Expect(selects(budget.Spec.Selector)).To(BeTrue())
	g.Expect(budget.Spec.MaxUnavailable.IntValue()).To(Equal(1))
}

func disruptionBudget(t *testing.T) *policyv1.PodDisruptionBudget {
	t.Helper()
	var budget policyv1.PodDisruptionBudget
	key := client.ObjectKey{Namespace: managerNamespace, Name: "edgesync-controller-manager"}
	NewWithT(t).Expect(cluster.admin.Get(t.Context(), key, &budget)).To(Succeed())
	return &budget
}

func managerDeployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	var deployment appsv1.Deployment
	key := client.ObjectKey{Namespace: managerNamespace, Name: "edgesync-controller-manager"}
	NewWithT(t).Expect(cluster.admin.Get(t.Context(), key, &deployment)).To(Succeed())
	return &deployment
}

// A type error in an expression is only reported in the policy's status.
func TestPoliciesPassTheTypeCheck(t *testing.T) {
	g := NewWithT(t)
	for _, name := range []string{"edgesync-sync-authors", "edgesync-sync-authors-custom-resources"} {
		var policy admissionregistrationv1.ValidatingAdmissionPolicy
		g.Eventually(func() (*admissionregistrationv1.TypeChecking, error) {
			err := cluster.admin.Get(t.Context(), client.ObjectKey{Name: name}, &policy)
			return policy.Status.TypeChecking, err
		}).WithTimeout(deadline).ShouldNot(BeNil(), name)
		g.Expect(policy.Status.TypeChecking.ExpressionWarnings).To(BeEmpty(), name)
	}
}

func TestPrinterColumns(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	out, err := kubectl(`
apiVersion: sync.edgesync.io/v1alpha1
kind: EdgeNode
metadata: {name: columns}
---
apiVersion: sync.edgesync.io/v1alpha1
kind: ObjectSync
metadata: {name: columns, namespace: default}
spec: {objectRef: {apiVersion: v1, kind: ConfigMap, name: settings}, nodeName: columns}
---
apiVersion: sync.edgesync.io/v1alpha1
kind: ClusterObjectSync
metadata: {name: columns}
spec: {objectRef: {apiVersion: v1, kind: Namespace, name: shop}, nodeName: columns}
`, "apply", "-f", "-")
	g.Expect(err).NotTo(HaveOccurred(), out)

	node, sync := `
{"status": {"objects": {"desired": 4, "held": 3, "pending": 2, "failed": 1}, "agentVersion": "v1.2.3", "conditions": [
 {"type": "Connected", "status": "True", "reason": "Connected", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
 {"type": "Synced", "status": "False", "reason": "Progressing", "message": "2 to go", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}`, `
{"status": {"desired": 10, "synced": 4, "pending": 3, "failed": 2, "offline": 1, "conditions": [
 {"type": "Synced", "status": "False", "reason": "Failed", "message": "disk full", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}`
	for _, c := range []struct{ resource, status, header, row string }{
		{"en", node, "NAME CONNECTED SYNCED DESIRED HELD PENDING FAILED VERSION AGE", "columns True False 4 3 2 1 v1.2.3"},
		{"osync", sync, "NAME DESIRED SYNCED PENDING FAILED OFFLINE STATUS AGE", "columns 10 4 3 2 1 Failed"},
		{"cosync", sync, "NAME DESIRED SYNCED PENDING FAILED OFFLINE STATUS AGE", "columns 10 4 3 2 1 Failed"},
	} {
		out, err := kubectl("", "patch", c.resource, "columns", "--subresource=status", "--type=merge", "--patch="+c.status)
		g.Expect(err).NotTo(HaveOccurred(), out)
		out, err = kubectl("", "get", c.resource, "columns")
		g.Expect(err).NotTo(HaveOccurred(), out)
		lines := strings.Split(out, "\n")
		g.Expect(strings.Join(strings.Fields(lines[0]), " ")).To(Equal(c.header), c.resource)
		g.Expect(strings.Join(strings.Fields(lines[1]), " ")).To(HavePrefix(c.row+" "), c.resource)
	}
	out, err = kubectl("", "get", "edgesync", "-o", "name")
	g.Expect(err).NotTo(HaveOccurred(), out)
	g.Expect(out).To(And(
		ContainSubstring("objectsync.sync.edgesync.io/columns"),
		ContainSubstring("clusterobjectsync.sync.edgesync.io/columns"),
		ContainSubstring("edgenode.sync.edgesync.io/columns")))
}
