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
	"bytes"
	"cmp"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	managerNamespace = "edgesync-system"
	managerAccount   = "edgesync-controller-manager"
	managerUser      = "system:serviceaccount:" + managerNamespace + ":" + managerAccount
)

var managerGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + managerNamespace, "system:authenticated"}

// A rule that is not in the table has no reason, and one that is only in the table
// misleads whoever reviews an installation.
func TestManagerRightsAreThoseOfTheDocumentation(t *testing.T) {
	NewWithT(t).Expect(documentedRights(t)).To(Equal(managerRights(t)))
}

// grants are verbs by "where | resource".
type grants map[string][]string

// managerRights are all the rules that any binding gives the manager.
func managerRights(t *testing.T) grants {
	t.Helper()
	g := NewWithT(t)
	rights := grants{}
	var everywhere rbacv1.ClusterRoleBindingList
	g.Expect(cluster.admin.List(t.Context(), &everywhere)).To(Succeed())
	for _, binding := range everywhere.Items {
		if slices.ContainsFunc(binding.Subjects, isManager) {
			rights.add("cluster", rulesOf(t, binding.RoleRef, ""))
		}
	}
	var namespaced rbacv1.RoleBindingList
	g.Expect(cluster.admin.List(t.Context(), &namespaced)).To(Succeed())
	for _, binding := range namespaced.Items {
		if slices.ContainsFunc(binding.Subjects, isManager) {
			g.Expect(binding.Namespace).To(Equal(managerNamespace))
			rights.add("own namespace", rulesOf(t, binding.RoleRef, binding.Namespace))
		}
	}
	return rights.sorted()
}

func isManager(s rbacv1.Subject) bool {
	return s.Kind == rbacv1.ServiceAccountKind && s.Namespace == managerNamespace && s.Name == managerAccount
}

func rulesOf(t *testing.T, ref rbacv1.RoleRef, namespace string) []rbacv1.PolicyRule {
	t.Helper()
	g := NewWithT(t)
	if ref.Kind == "Role" {
		var role rbacv1.Role
		g.Expect(cluster.admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: ref.Name}, &role)).To(Succeed())
		return role.Rules
	}
	var role rbacv1.ClusterRole
	g.Eventually(func() ([]rbacv1.PolicyRule, error) { // an aggregated role is filled in later
		err := cluster.admin.Get(t.Context(), client.ObjectKey{Name: ref.Name}, &role)
		return role.Rules, err
	}).WithTimeout(deadline).ShouldNot(BeEmpty(), ref.Name)
	return role.Rules
}

func (g grants) add(where string, rules []rbacv1.PolicyRule) {
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				key := where + " | " + grantName(group, resource, rule.ResourceNames)
				g[key] = append(g[key], rule.Verbs...)
			}
		}
		for _, url := range rule.NonResourceURLs {
			g[where+" | "+url] = append(g[where+" | "+url], rule.Verbs...)
		}
	}
}

// grantName is as kubectl auth can-i takes it: resource.group/subresource name.
func grantName(group, resource string, names []string) string {
	resource, subresource, _ := strings.Cut(resource, "/")
	name := strings.TrimSuffix(resource+"."+group, ".")
	if subresource != "" {
		name += "/" + subresource
	}
	return strings.Join(append([]string{name}, names...), " ")
}

func (g grants) sorted() grants {
	for key, verbs := range g {
		g[key] = slices.Compact(slices.Sorted(slices.Values(verbs)))
	}
	return g
}

// documentedRights are the rows of the table in docs/security.md.
func documentedRights(t *testing.T) grants {
	t.Helper()
	g := NewWithT(t)
	document, err := os.ReadFile("../docs/security.md")
	g.Expect(err).NotTo(HaveOccurred())
	rights := grants{}
	for _, row := range regexp.MustCompile(`(?m)^\| (cluster|own namespace) \| (.+?) \| (.+?) \| (.+) \|$`).FindAllStringSubmatch(string(document), -1) {
		for resource := range strings.SplitSeq(row[2], ", ") {
			key := row[1] + " | " + strings.ReplaceAll(resource, "`", "")
			rights[key] = append(rights[key], strings.Split(row[3], ", ")...)
		}
	}
	return rights.sorted()
}

func TestManagerRightsAreNarrow(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	for key, verbs := range managerRights(t) {
		g.Expect(key).NotTo(ContainSubstring("*"))
		g.Expect(verbs).NotTo(ContainElement(BeElementOf("*", "escalate", "bind", "impersonate", "deletecollection")), key)
	}
	// What Kubernetes itself says of it, all bindings of groups included.
	for _, namespace := range []string{"default", managerNamespace} {
		review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}
		g.Expect(clientFor(t, managerUser, managerGroups...).Create(t.Context(), review)).To(Succeed())
		g.Expect(review.Status.Incomplete).To(BeFalse())
		for _, rule := range review.Status.ResourceRules {
			g.Expect(slices.Concat(rule.Verbs, rule.APIGroups, rule.Resources)).NotTo(ContainElement("*"))
		}
	}
}

// Not in the roles for people either: what "*" means grows with Kubernetes.
func TestNoRoleHasAWildcard(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var roles rbacv1.ClusterRoleList
	g.Expect(cluster.admin.List(t.Context(), &roles)).To(Succeed())
	checked := 0
	for _, role := range roles.Items {
		if !strings.HasPrefix(role.Name, "edgesync-") {
			continue
		}
		checked++
		for _, rule := range role.Rules {
			g.Expect(slices.Concat(rule.Verbs, rule.APIGroups, rule.Resources, rule.NonResourceURLs)).
				NotTo(ContainElement(ContainSubstring("*")), role.Name)
		}
	}
	g.Expect(checked).To(BeNumerically(">", 10))
}

// managerMay asks the API server. The resource is "resource", "resource.group" or, for
// a subresource, "resource/subresource".
func managerMay(t *testing.T, verb, resource, namespace string) bool {
	t.Helper()
	resource, group, _ := strings.Cut(resource, ".")
	resource, subresource, _ := strings.Cut(resource, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: managerUser, Groups: managerGroups,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: verb, Group: group, Resource: resource, Subresource: subresource, Namespace: namespace, Name: "any",
		},
	}}
	if verb == "list" || verb == "watch" || verb == "create" {
		review.Spec.ResourceAttributes.Name = ""
	}
	NewWithT(t).Expect(cluster.admin.Create(t.Context(), review)).To(Succeed())
	return review.Status.Allowed
}

func TestManagerMayNot(t *testing.T) {
	g := NewWithT(t)
	for _, c := range []struct{ resource, verbs string }{
		{"secrets", "list watch deletecollection"},
		{"pods", "get list create delete"}, {"pods/exec", "create"}, {"pods/log", "get"},
		{"nodes", "get list patch"}, {"nodes/proxy", "get"},
		{"serviceaccounts/token", "create"}, {"serviceaccounts", "impersonate"}, {"users", "impersonate"}, {"groups", "impersonate"},
		{"clusterroles.rbac.authorization.k8s.io", "create update escalate bind"},
		{"clusterrolebindings.rbac.authorization.k8s.io", "create update"},
		{"roles.rbac.authorization.k8s.io", "create update escalate bind"},
		{"rolebindings.rbac.authorization.k8s.io", "create update"},
		{"validatingadmissionpolicies.admissionregistration.k8s.io", "update delete"},
		{"customresourcedefinitions.apiextensions.k8s.io", "create update delete"},
		{"configmaps", "create update delete"},
		{"objectsyncs.sync.edgesync.io", "create update delete"},
		{"edgenodes.sync.edgesync.io", "delete"},
	} {
		for verb := range strings.FieldsSeq(c.verbs) {
			for _, namespace := range []string{"", "default", "kube-system", managerNamespace} {
				g.Expect(managerMay(t, verb, c.resource, namespace)).To(BeFalse(), "%s %s in %q", verb, c.resource, namespace)
			}
		}
	}
	for _, verb := range []string{"get", "create", "update", "patch", "delete"} {
		for _, namespace := range []string{"", "default", "kube-system"} {
			g.Expect(managerMay(t, verb, "secrets", namespace)).To(BeFalse(), "%s secrets in %q", verb, namespace)
		}
	}
}

// Secrets are delivered once an administrator applies the sample, and no longer.
func TestManagerReadsSecretsOnlyWhenAllowed(t *testing.T) {
	g := NewWithT(t)
	g.Expect(managerMay(t, "list", "secrets", "")).To(BeFalse())
	out, err := kubectl("", "apply", "-f", "samples/allow_secrets.yaml")
	g.Expect(err).NotTo(HaveOccurred(), out)
	mayList := func() bool { return managerMay(t, "list", "secrets", "") }
	g.Eventually(mayList).WithTimeout(deadline).Should(BeTrue())
	out, err = kubectl("", "delete", "-f", "samples/allow_secrets.yaml")
	g.Expect(err).NotTo(HaveOccurred(), out)
	g.Eventually(mayList).WithTimeout(deadline).Should(BeFalse())
}

// Who has rights in a namespace sees its ObjectSyncs and cannot write them until an
// administrator says so.
func TestRolesOfUsers(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"view", "edit", "admin"} {
		t.Run(role, func(t *testing.T) {
			g := NewWithT(t)
			a := &author{name: "test:" + role}
			bindRole(t, a.name, role, "default")
			a.waitForRight(t, "default", right("list", "objectsyncs.sync.edgesync.io")) // so the role has been aggregated
			for _, denied := range []string{"create objectsyncs", "update objectsyncs", "delete objectsyncs", "get edgenodes", "create clusterobjectsyncs"} {
				verb, resource, _ := strings.Cut(denied, " ")
				review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
					User: a.name,
					ResourceAttributes: &authorizationv1.ResourceAttributes{
						Verb: verb, Group: "sync.edgesync.io", Resource: resource, Namespace: "default",
					},
				}}
				g.Expect(cluster.admin.Create(t.Context(), review)).To(Succeed())
				g.Expect(review.Status.Allowed).To(BeFalse(), denied)
			}
		})
	}
}

// The Role is enough to be elected, to stay elected and to step down, and to show the other
// replicas that this one lives.
func TestManagerIsElected(t *testing.T) {
	g := NewWithT(t)
	// Syncs of Secrets, which it may not read, are what other tests have left.
	out, err := kubectl("", "delete", "objectsyncs,clusterobjectsyncs", "--all", "--all-namespaces", "--timeout=1m")
	g.Expect(err).NotTo(HaveOccurred(), out)
	kubeconfig, err := cluster.plane.UserKubeconfig(managerUser, managerGroups...)
	g.Expect(err).NotTo(HaveOccurred())
	var output bytes.Buffer
	manager := exec.Command(filepath.Join(cmp.Or(os.Getenv("EDGESYNC_BIN"), "../bin"), "manager"),
		"--kubeconfig="+kubeconfig, "--namespace="+managerNamespace, "--leader-elect",
		"--hub-bind-address=127.0.0.1:0", "--metrics-bind-address=0", "--health-probe-bind-address=0")
	manager.Stdout, manager.Stderr = &output, &output
	g.Expect(manager.Start()).To(Succeed())
	t.Cleanup(func() { _ = manager.Process.Kill() })

	holder := func() (string, error) {
		var lease coordinationv1.Lease
		err := cluster.admin.Get(t.Context(), client.ObjectKey{Namespace: managerNamespace, Name: "manager.sync.edgesync.io"}, &lease)
		return ptr.Deref(lease.Spec.HolderIdentity, ""), client.IgnoreNotFound(err)
	}
	shown := func() ([]coordinationv1.Lease, error) {
		var leases coordinationv1.LeaseList
		err := cluster.admin.List(t.Context(), &leases, client.InNamespace(managerNamespace), client.HasLabels{"sync.edgesync.io/replica"})
		return leases.Items, err
	}
	g.Eventually(holder).WithTimeout(deadline).ShouldNot(BeEmpty())
	g.Eventually(shown).WithTimeout(deadline).Should(HaveLen(1))
	g.Expect(manager.Process.Signal(syscall.SIGTERM)).To(Succeed())
	g.Expect(manager.Wait()).To(Succeed(), output.String())
	g.Expect(holder()).To(BeEmpty())
	g.Expect(shown()).To(BeEmpty())
	g.Expect(output.String()).NotTo(ContainSubstring("is forbidden"))
}

// The restricted Pod Security Standard asks for some of it, and not for the rest.
func TestManagerPodIsConfined(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	pod := managerDeployment(t).Spec.Template.Spec
	g.Expect(pod.SecurityContext.RunAsNonRoot).To(HaveValue(BeTrue()))
	g.Expect(pod.SecurityContext.SeccompProfile.Type).To(Equal(corev1.SeccompProfileTypeRuntimeDefault))
	g.Expect(pod.Volumes).To(BeEmpty())
	g.Expect(pod.Containers).To(HaveLen(1))
	container := pod.Containers[0]
	g.Expect(container.SecurityContext.ReadOnlyRootFilesystem).To(HaveValue(BeTrue()))
	g.Expect(container.SecurityContext.AllowPrivilegeEscalation).To(HaveValue(BeFalse()))
	g.Expect(container.SecurityContext.Capabilities.Drop).To(ConsistOf(corev1.Capability("ALL")))
	g.Expect(slices.Collect(maps.Keys(container.Resources.Requests))).To(ConsistOf(corev1.ResourceCPU, corev1.ResourceMemory))
	g.Expect(container.Resources.Limits).To(HaveKey(corev1.ResourceMemory))

	var account corev1.ServiceAccount
	g.Expect(cluster.admin.Get(t.Context(), client.ObjectKey{Namespace: managerNamespace, Name: managerAccount}, &account)).To(Succeed())
	g.Expect(account.AutomountServiceAccountToken).To(HaveValue(BeFalse()), "only the manager's pod asks for a token")
}
