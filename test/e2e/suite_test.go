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

// Package e2e tests edgesync as a whole: real manager and agent processes against a
// real kube-apiserver and etcd. Every spec has a namespace and nodes of its own.
package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/format"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/edgesync/edgesync/internal/testing/controlplane"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

const (
	// deadline bounds every wait for a state that must come, on a machine however busy.
	deadline = 3 * time.Minute
	polling  = 100 * time.Millisecond
)

var (
	// world is the control plane, the manager and all agents.
	world *fleet.Fleet
	// admin may do everything, and reads from the API server.
	admin client.Client
	// agentConfig has agents come back soon, so that the specs need not wait for them.
	agentConfig string
)

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(deadline)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyPollingInterval(polling)
	format.MaxLength = 2000
	RunSpecs(t, "End to end")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	logf.SetLogger(zap.New(zap.WriteTo(GinkgoWriter), zap.UseDevMode(true)))
	dir, err := os.MkdirTemp("", "e2e-")
	Expect(err).NotTo(HaveOccurred())
	agentConfig = writeFile(dir, "agent.yaml", "maxReconnectDelay: 1s\n")
	auditLog = filepath.Join(dir, "audit.log")
	world, err = fleet.Start(ctx, fleet.Options{
		Dir:         dir,
		ManagerArgs: []string{"--hub-heartbeat=4s"}, // a link that went silent is noticed after 10 s
		ControlPlane: controlplane.Config{
			UnsafeNoFsync: true,
			ExtraAPIServerArgs: []string{
				"--audit-policy-file=" + writeFile(dir, "audit-policy.yaml", auditPolicy),
				"--audit-log-path=" + auditLog,
			},
		},
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		Expect(world.Stop()).To(Succeed())
		if suiteFailed {
			GinkgoWriter.Printf("everything is kept in %s\n", dir)
			return
		}
		Expect(os.RemoveAll(dir)).To(Succeed())
	})
	admin, err = world.Client()
	Expect(err).NotTo(HaveOccurred())
})

func writeFile(dir, name, content string) (path string) {
	GinkgoHelper()
	path = filepath.Join(dir, name)
	Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
	return path
}
