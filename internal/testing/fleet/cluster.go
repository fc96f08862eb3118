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

package fleet

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// Install applies config/local: CRDs, roles, policies, and with Options.Query what leads the
// API server to the query API. It changes nothing where that is installed. The control plane
// must run.
func (f *Fleet) Install(ctx context.Context) error {
	_, err := f.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(f.root, "config", "local"))
	if err != nil {
		return err
	}
	if f.options.Query {
		if err := f.InstallQuery(ctx, f.ports.Get(queryPort)); err != nil {
			return err
		}
	}
	_, err = f.Kubectl(ctx, "wait", "--for=condition=Established", fmt.Sprintf("--timeout=%s", f.options.StartTimeout), "crd",
		"edgenodes.sync.edgesync.io", "objectsyncs.sync.edgesync.io", "clusterobjectsyncs.sync.edgesync.io")
	return err
}

// queryManifest leads the API server to a manager that runs outside of the cluster. The manager
// fills in spec.caBundle.
const queryManifest = `
apiVersion: v1
kind: Service
metadata: {namespace: %[1]s, name: edgesync-query}
spec: {type: ExternalName, externalName: localhost}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: %[2]s}
spec:
  group: query.sync.edgesync.io
  version: v1alpha1
  groupPriorityMinimum: 1000
  versionPriority: 10
  service: {namespace: %[1]s, name: edgesync-query, port: %[3]d}
`

const queryAPIService = "v1alpha1.query.sync.edgesync.io"

// InstallQuery leads the API server to the query API at that port of this machine.
func (f *Fleet) InstallQuery(ctx context.Context, port int) error {
	_, err := f.kubectl(ctx, fmt.Sprintf(queryManifest, Namespace, queryAPIService, port),
		[]string{"apply", "--server-side", "--force-conflicts", "-f", "-"})
	return err
}

// UninstallQuery undoes InstallQuery: while nobody serves an API that is installed, namespaces
// cannot go.
func (f *Fleet) UninstallQuery(ctx context.Context) error {
	if _, err := f.Kubectl(ctx, "delete", "apiservice", queryAPIService); err != nil {
		return err
	}
	_, err := f.Kubectl(ctx, "delete", "service", "--namespace="+Namespace, "edgesync-query")
	return err
}

// WaitQuery returns when the API server says that the query API is there.
func (f *Fleet) WaitQuery(ctx context.Context) error {
	_, err := f.Kubectl(ctx, "wait", "--for=condition=Available", fmt.Sprintf("--timeout=%s", f.options.StartTimeout), "apiservice", queryAPIService)
	return err
}

// Kubectl runs kubectl as the administrator and returns what it printed.
func (f *Fleet) Kubectl(ctx context.Context, args ...string) (string, error) {
	return f.kubectl(ctx, "", args)
}

// Apply runs kubectl apply on a manifest.
func (f *Fleet) Apply(ctx context.Context, manifest string) error {
	_, err := f.kubectl(ctx, manifest, []string{"apply", "-f", "-"})
	return err
}

// KubectlPath names the kubectl that came with the control plane.
func (f *Fleet) KubectlPath() string { return filepath.Join(f.options.ControlPlane.Assets, "kubectl") }

func (f *Fleet) kubectl(ctx context.Context, input string, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, f.KubectlPath(), args...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+f.controlPlane.KubeconfigPath(),
		"KUBECACHEDIR="+filepath.Join(f.options.Dir, "kubectl-cache"))
	return output(cmd)
}

// output runs cmd and returns its standard output. The error quotes all that it printed.
func output(cmd *exec.Cmd) (string, error) {
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(cmd.Path), cmd.Args[1], err, errOut.String()+out.String())
	}
	return out.String(), nil
}

// Client returns the administrator's client, which reads from the API server and knows
// the kinds of Kubernetes, of CRDs and of edgesync. The control plane must run.
func (f *Fleet) Client() (client.Client, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.client != nil {
		return f.client, nil
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, syncv1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	var err error
	if f.http, err = rest.HTTPClientFor(f.RESTConfig()); err != nil {
		return nil, err
	}
	f.client, err = client.New(f.RESTConfig(), client.Options{Scheme: scheme, HTTPClient: f.http})
	return f.client, err
}
