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

package controlplane

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// requireAssets skips when the programs have not been built.
func requireAssets(t *testing.T) {
	t.Helper()
	if _, err := Assets(); err != nil {
		t.Skipf("needs a real control plane: %v", err)
	}
}

func startForTest(t *testing.T, cfg Config) *ControlPlane {
	t.Helper()
	g := NewWithT(t)
	cfg.UnsafeNoFsync = true
	c, err := Start(t.Context(), cfg)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { NewWithT(t).Expect(c.Stop()).To(Succeed()) })
	return c
}

func newClientset(t *testing.T, cfg *rest.Config) kubernetes.Interface {
	t.Helper()
	g := NewWithT(t)
	httpClient, err := rest.HTTPClientFor(cfg)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(httpClient.CloseIdleConnections)
	client, err := kubernetes.NewForConfigAndClient(cfg, httpClient)
	g.Expect(err).NotTo(HaveOccurred())
	return client
}

func createConfigMap(t *testing.T, c *ControlPlane, name string) {
	t.Helper()
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := newClientset(t, c.RESTConfig()).CoreV1().ConfigMaps("default").Create(t.Context(), configMap, metav1.CreateOptions{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

func expectConfigMap(t *testing.T, cfg *rest.Config, name string) {
	t.Helper()
	_, err := newClientset(t, cfg).CoreV1().ConfigMaps("default").Get(t.Context(), name, metav1.GetOptions{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

func TestDataSurvivesKillsAndANewStart(t *testing.T) {
	t.Parallel()
	requireAssets(t)
	g := NewWithT(t)
	cfg := Config{Dir: t.TempDir()}
	c := startForTest(t, cfg)
	createConfigMap(t, c, "kept")
	etcd, apiServer := c.etcd.PID(), c.apiServer.PID()

	g.Expect(c.KillAPIServer()).To(Succeed())
	g.Expect(c.KillEtcd()).To(Succeed())
	g.Expect(c.StartEtcd(t.Context())).To(Succeed())
	g.Expect(c.StartAPIServer(t.Context())).To(Succeed())
	g.Expect(c.etcd.PID()).NotTo(Equal(etcd))
	g.Expect(c.apiServer.PID()).NotTo(Equal(apiServer))
	expectConfigMap(t, c.RESTConfig(), "kept")

	url, admin := c.URL(), c.RESTConfig()
	g.Expect(c.Stop()).To(Succeed())
	c = startForTest(t, cfg)
	g.Expect(c.URL()).To(Equal(url), "the port stays the same")
	expectConfigMap(t, admin, "kept")
}

func TestControllersRun(t *testing.T) {
	t.Parallel()
	requireAssets(t)
	g := NewWithT(t)
	c := startForTest(t, Config{Dir: t.TempDir(), Controllers: DefaultControllers})
	client := newClientset(t, c.RESTConfig())

	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	_, err := client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(client.CoreV1().Namespaces().Delete(t.Context(), "shop", metav1.DeleteOptions{})).To(Succeed())
	g.Eventually(t.Context(), func() bool {
		_, err := client.CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}).WithTimeout(c.cfg.StartTimeout).Should(BeTrue())

	aggregated := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "sum"},
		AggregationRule: &rbacv1.AggregationRule{
			ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"part-of": "sum"}}},
		},
	}
	part := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "part", Labels: map[string]string{"part-of": "sum"}},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}}},
	}
	for _, role := range []*rbacv1.ClusterRole{aggregated, part} {
		_, err := client.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Eventually(t.Context(), func() ([]rbacv1.PolicyRule, error) {
		role, err := client.RbacV1().ClusterRoles().Get(t.Context(), "sum", metav1.GetOptions{})
		return role.Rules, err
	}).WithTimeout(c.cfg.StartTimeout).Should(Equal(part.Rules))
}

func TestKubeconfigs(t *testing.T) {
	t.Parallel()
	requireAssets(t)
	g := NewWithT(t)
	c := startForTest(t, Config{Dir: t.TempDir()})

	userPath, err := c.UserKubeconfig("system:node:edge-1", "system:nodes", "tenants/a")
	g.Expect(err).NotTo(HaveOccurred())
	for path, user := range map[string]authenticationv1.UserInfo{
		c.KubeconfigPath(): {Username: adminUser, Groups: []string{adminGroup, "system:authenticated"}},
		userPath:           {Username: "system:node:edge-1", Groups: []string{"system:nodes", "tenants/a", "system:authenticated"}},
	} {
		info, err := os.Stat(path)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))
		cfg, err := clientcmd.BuildConfigFromFlags("", path)
		g.Expect(err).NotTo(HaveOccurred())
		review, err := newClientset(t, cfg).AuthenticationV1().SelfSubjectReviews().
			Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(review.Status.UserInfo.Username).To(Equal(user.Username))
		g.Expect(review.Status.UserInfo.Groups).To(ConsistOf(user.Groups))
	}

	cfg, err := clientcmd.BuildConfigFromFlags("", userPath)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = newClientset(t, cfg).CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "RBAC and the Node authorizer are on: %v", err)
}

func TestTakenPortIsNamed(t *testing.T) {
	t.Parallel()
	requireAssets(t)
	g := NewWithT(t)
	l, err := net.Listen("tcp", net.JoinHostPort(Host, "0"))
	g.Expect(err).NotTo(HaveOccurred())
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	g.Expect(err).NotTo(HaveOccurred())

	_, err = Start(t.Context(), Config{Dir: t.TempDir(), EtcdPort: l.Addr().(*net.TCPAddr).Port})
	g.Expect(err).To(MatchError(ContainSubstring("etcd: port " + port + " is not free")))
}

func TestFailedStartQuotesTheLogAndLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	requireAssets(t)
	g := NewWithT(t)
	dir := t.TempDir()
	cfg := Config{Dir: dir, UnsafeNoFsync: true, ExtraAPIServerArgs: []string{"--no-such-flag"}}
	_, err := Start(t.Context(), cfg)
	g.Expect(err).To(MatchError(And(
		ContainSubstring("kube-apiserver ended before it was ready"),
		ContainSubstring(filepath.Join(dir, "kube-apiserver.log")),
		ContainSubstring("unknown flag: --no-such-flag"),
	)))

	cfg.ExtraAPIServerArgs = nil
	startForTest(t, cfg) // etcd's port and data are free
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	requireAssets(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Config{Dir: t.TempDir(), UnsafeNoFsync: true})
	NewWithT(t).Expect(err).To(MatchError(context.Canceled))
}

func TestMain(m *testing.M) {
	if runHelper() {
		return
	}
	goleak.VerifyTestMain(m)
}
