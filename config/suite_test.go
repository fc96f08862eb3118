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

// Package config tests the manifests of this directory, as kustomize builds them,
// against a real API server.
package config

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
	"github.com/edgesync/edgesync/internal/testing/controlplane"
)

// deadline bounds every wait for a state that must come.
const deadline = time.Minute

// cluster is what all tests share: a cluster with config/default in it.
var cluster struct {
	plane *controlplane.ControlPlane
	admin client.Client
}

func TestMain(m *testing.M) {
	code, err := runWithCluster(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runWithCluster(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "edgesync-config-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	cluster.plane, err = controlplane.Start(context.Background(), controlplane.Config{
		Dir:           dir,
		Controllers:   controlplane.DefaultControllers,
		UnsafeNoFsync: true,
	})
	if err != nil {
		return 0, err
	}
	defer func() {
		if stopErr := cluster.plane.Stop(); stopErr != nil && err == nil {
			err = stopErr
		}
	}()
	if cluster.admin, err = newClient(cluster.plane.RESTConfig()); err != nil {
		return 0, err
	}
	if out, err := kubectl("", "apply", "-k", "default"); err != nil {
		return 0, fmt.Errorf("kubectl apply -k config/default: %w\n%s", err, out)
	}
	return m.Run(), nil
}

func newClient(cfg *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, syncv1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return client.New(cfg, client.Options{Scheme: scheme})
}

// clientFor acts as the user, with no more rights than the user and the groups have.
func clientFor(t *testing.T, user string, groups ...string) client.Client {
	t.Helper()
	cfg := rest.CopyConfig(cluster.plane.RESTConfig())
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	c, err := newClient(cfg)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return c
}

// kubectl runs kubectl as an administrator and returns what it prints, errors included.
func kubectl(stdin string, args ...string) (string, error) {
	assets, err := controlplane.Assets()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(filepath.Join(assets, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.plane.KubeconfigPath())
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// create makes the objects as an administrator.
func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		NewWithT(t).Expect(cluster.admin.Create(t.Context(), object)).To(Succeed())
	}
}

// bindRole gives the user a ClusterRole, in one namespace or, if it is empty, everywhere.
func bindRole(t *testing.T, user, role, namespace string) {
	t.Helper()
	meta := metav1.ObjectMeta{GenerateName: "test-", Namespace: namespace}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
	if namespace == "" {
		create(t, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
	} else {
		create(t, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
	}
}
