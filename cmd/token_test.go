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
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/edgesync/edgesync/internal/pki/castore"
)

// runToken runs `manager token` with the arguments against c.
func runToken(t *testing.T, c client.Client, args ...string) (string, error) {
	t.Helper()
	cmd := (&tokenCommand{connect: func(string) (client.Client, error) { return c, nil }}).command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// newFakeClient makes a client of an API server without anything.
func newFakeClient() client.Client {
	return fake.NewClientBuilder().
		WithIndex(&corev1.Secret{}, "type", func(o client.Object) []string { return []string{string(o.(*corev1.Secret).Type)} }).
		Build()
}

// newClientWithCA is a client of an API server where managers of the namespaces have started.
func newClientWithCA(t *testing.T, namespaces ...string) client.Client {
	t.Helper()
	c := newFakeClient()
	for _, namespace := range namespaces {
		_, err := castore.Ensure(t.Context(), c, namespace, time.Now())
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	}
	return c
}

func TestTokenCreate(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, installNamespace)

	out, err := runToken(t, c, "create", "--hub", "https://hub:8443", "--node", "edge-1", "--ttl", "1h", "-o", "json")

	g.Expect(err).NotTo(HaveOccurred())
	var created createdToken
	g.Expect(json.Unmarshal([]byte(out), &created)).To(Succeed())
	ca, err := castore.Load(t.Context(), c, installNamespace, time.Now())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(created.CAHash).To(Equal(ca.Hash()))
	g.Expect(created.Token).To(HavePrefix(created.ID + "."))
	g.Expect(created.Expires).To(BeTemporally("~", time.Now().Add(time.Hour), time.Minute))
	g.Expect(created.Command).To(Equal("edge-agent join --hub https://hub:8443 --token " + created.Token + " --ca-hash " + created.CAHash + " --node edge-1"))

	out, err = runToken(t, c, "create")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(out).To(And(ContainSubstring("edge-agent join --hub "+hubPlaceholder), ContainSubstring("Replace "+hubPlaceholder)))
	g.Expect(out).To(ContainSubstring("--ca-hash " + created.CAHash))
}

// A CA that the manager does not have would make a token that no hub takes.
func TestTokenCreateWithoutAManager(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, installNamespace)
	_, err := runToken(t, c, "create", "-n", "elsewhere")
	g.Expect(err).To(MatchError(And(ContainSubstring("namespace elsewhere"), ContainSubstring("--namespace"))))
	secrets := &corev1.SecretList{}
	g.Expect(c.List(t.Context(), secrets, client.InNamespace("elsewhere"))).To(Succeed())
	g.Expect(secrets.Items).To(BeEmpty())
}

func TestTokenCreateRefuses(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	for args, text := range map[string]string{
		"--ttl 0s":                          "--ttl must be positive",
		"--ttl -1h":                         "--ttl must be positive",
		"--uses 0":                          "at least 1",
		"--rejoin":                          "bound to a node name",
		"--node edge-1 --node-prefix edge-": "exclude each other",
		"--node Edge":                       "not a node name",
		"--label region":                    "must be formatted as key=value",
		"--label a/b/c=d":                   "labels",
		"--hub hub:8443":                    "https://host:port",
		"--hub http://hub:8443":             "https://host:port",
		"-o yaml":                           "unknown output format",
		"extra":                             "unknown command",
	} {
		c := newFakeClient()
		_, err := runToken(t, c, append([]string{"create"}, strings.Fields(args)...)...)
		g.Expect(err).To(MatchError(ContainSubstring(text)), args)
		secrets := &corev1.SecretList{}
		g.Expect(c.List(t.Context(), secrets)).To(Succeed())
		g.Expect(secrets.Items).To(BeEmpty(), args)
	}
}

func TestTokenList(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, installNamespace, "elsewhere")
	for _, args := range []string{
		"create --node edge-1 --rejoin --ttl 90m",
		"create --node-prefix shop- --uses 20 --label region=eu --label app=till --ttl 48h",
		"create --ttl 1ns",
		"create -n elsewhere",
	} {
		_, err := runToken(t, c, strings.Fields(args)...)
		g.Expect(err).NotTo(HaveOccurred())
	}

	out, err := runToken(t, c, "list")

	g.Expect(err).NotTo(HaveOccurred())
	lines := strings.Split(strings.TrimSpace(out), "\n")
	g.Expect(lines).To(HaveLen(4))
	g.Expect(strings.Fields(lines[0])).To(Equal([]string{"ID", "NODE", "USES", "EXPIRES", "LABELS"}))
	g.Expect(lines[1:]).To(ConsistOf(
		MatchRegexp(`^\S{8} +edge-1 \(rejoin\) +1 +89m +<none>$`),
		MatchRegexp(`^\S{8} +shop-\* +20 +47h +app=till,region=eu$`),
		MatchRegexp(`^\S{8} +\* +1 +<expired> +<none>$`),
	))

	out, err = runToken(t, c, "list", "-o", "json")
	g.Expect(err).NotTo(HaveOccurred())
	var listed []listedToken
	g.Expect(json.Unmarshal([]byte(out), &listed)).To(Succeed())
	g.Expect(listed).To(HaveLen(3))

	out, err = runToken(t, c, "list", "-n", "empty", "-o", "json")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(out).To(MatchJSON("[]"))
}

func TestTokenRevoke(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, installNamespace)
	out, err := runToken(t, c, "create", "-o", "json")
	g.Expect(err).NotTo(HaveOccurred())
	var created createdToken
	g.Expect(json.Unmarshal([]byte(out), &created)).To(Succeed())

	out, err = runToken(t, c, "revoke", "abcd1234", created.ID)

	g.Expect(err).To(MatchError(ContainSubstring("there is no join token abcd1234")))
	g.Expect(out).To(Equal("join token "+created.ID+" revoked\n"), "the others are revoked all the same")
	_, err = runToken(t, c, "revoke")
	g.Expect(err).To(HaveOccurred())
}

func TestTokenWithoutACluster(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	lost := errors.New("no cluster")
	cmd := (&tokenCommand{connect: func(string) (client.Client, error) { return nil, lost }}).command()
	cmd.SetArgs([]string{"list"})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	g.Expect(cmd.ExecuteContext(t.Context())).To(MatchError(lost))
}
