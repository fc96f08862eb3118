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
	"bytes"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/edgesync/edgesync/internal/pki/castore"
)

// accessTo has commands use c, whatever the kubeconfig.
func accessTo(c client.Client) clusterAccess {
	return clusterAccess{connect: func(string) (client.Client, error) { return c, nil }}
}

// runCommand runs a command with the arguments, and returns all that it prints.
func runCommand(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// newFakeClient makes a client of an API server without anything.
func newFakeClient() client.Client { return fake.NewClientBuilder().Build() }

// newClientWithCA is a client of an API server where a manager of the namespace has started.
func newClientWithCA(t *testing.T, namespace string) client.Client {
	t.Helper()
	c := newFakeClient()
	_, err := (&castore.Store{Client: c, Namespace: namespace, Now: time.Now}).Load(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return c
}
